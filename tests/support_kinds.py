"""Kinds of scans: those that were recorded, and variations of them for what was not."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.support_bliss import DATA, RecordedScan, recorded_scans

from nexus_writer_service.layout.esrf import EsrfOptions
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.events import ScanReference

RAW_DATA = "/data/visitor/blc00001/id00/20261101/RAW_DATA"
POLICY_DATASET = f"{RAW_DATA}/sampleA/sampleA_first/sampleA_first.h5"
POLICY_MASTERS = (f"{RAW_DATA}/sampleA/blc00001_sampleA.h5", f"{RAW_DATA}/blc00001_id00.h5")
DIODE = "simulation_diode_sampling_controller:diode1"
OPTIONS = {
    "keepshape": EsrfOptions(keepshape=True),
    "multivalue_positioners": EsrfOptions(multivalue_positioners=True),
    "noconfig": EsrfOptions(configurable=False),
    "disable_external_hdf5": EsrfOptions(external_hdf5=False),
    "copy_non_external": EsrfOptions(external_hdf5=False, copy_non_external=True),
    "stackmca": EsrfOptions(stack_mcas=True),
    "zstd": EsrfOptions(compression="zstd-bitshuffle"),
}

Change = Callable[[RecordedScan], RecordedScan]


@dataclass(frozen=True)
class Kind:
    """Scans that go into one file or more, and how they are laid out."""

    recorded: str
    """Name of the recording."""
    changes: tuple[Change, ...] = ()
    """What is different from the recording."""
    options: EsrfOptions = field(default_factory=EsrfOptions)
    one: bool = False
    """Only the first scan of the recording."""

    def scans(self) -> list[RecordedScan]:
        found = recorded_scans(self.recorded)[: 1 if self.one else None]
        for change in self.changes:
            found = [change(one) for one in found]
        return found


def below_esrf_policy(
    recorded: RecordedScan,
    dataset: str = POLICY_DATASET,
    masters: Iterable[str] = POLICY_MASTERS,
) -> RecordedScan:
    """The scan as one of a dataset under the data policy of the ESRF."""
    info = recorded.document["info"]
    info |= {
        "scan_nb": 1,
        "filename": dataset,
        "images_path": f"{dataset.rpartition('/')[0]}/scan0001/{{img_acq_device}}_",
        "data_policy": "ESRF",
        "dataset_metadata_snapshot": {"Sample_name": "sampleA", "startDate": "2026-11-20"},
    }
    kinds = ("dataset_collection", "proposal")
    info["nexuswriter"]["masterfiles"] = dict(zip(kinds, masters, strict=True))
    return recorded


def _said(recorded: RecordedScan, **info: Any) -> RecordedScan:
    recorded.document["info"] |= info
    return recorded


def plotted(*channels: str) -> Change:
    """The user selected channels for display."""
    return lambda recorded: _said(recorded, display_extra={"plotselect": list(channels)})


def describes(*plots: Mapping[str, Any]) -> Change:
    """The scan describes plots."""
    return lambda recorded: _said(recorded, plots=list(plots))


def of_technique(recorded: RecordedScan) -> RecordedScan:
    """The session's technique is fluorescence, as with BLISS 1."""
    fluo = {"class": "APPxrf", "I0": "diode1"}
    plots = {"counters": {"items": ["diode1"]}, "spectra": {"ndim": 1}}
    recorded.document["info"]["nexuswriter"]["technique"] = {
        "name": "xrf",
        "applications": {"fluo": fluo},
        "plots": plots,
        "plotselect": "counters",
    }
    return recorded


def back_and_forth(recorded: RecordedScan) -> RecordedScan:
    """The fast axis of a mesh turns at the end of each row."""
    axes = recorded.document["info"]["channels"]
    axes["axis:robx"]["axis_kind"] = "backnforth"
    return recorded


def aborted(points: int) -> Change:
    """The scan was aborted after some points."""

    def change(recorded: RecordedScan) -> RecordedScan:
        lengths = {name: min(points, length) for name, length in recorded.lengths.items()}
        return replace(_said(recorded, end_reason="USER_ABORT"), lengths=lengths)

    return change


def of_other_file(recorded: RecordedScan) -> RecordedScan:
    """A sequence of scans that are in another file."""
    path = recorded.document["info"]["filename"].replace(".h5", "_other.h5")
    scans = [ScanReference(ScanKey(f"esrf:scan:{n}"), n, path, (f"{n}.1",)) for n in (25, 26)]
    return replace(recorded, refers_to=tuple(scans))


_CURVES = {
    "kind": "curve-plot",
    "name": "diodes",
    "items": [{"kind": "curve", "x": "axis:robx", "y": DIODE}],
}
_MESH, _MCA, _CAMERA = "k08_amesh", "k11_mca", "k16_fakelima"

VARIATIONS: Mapping[str, Kind] = {
    "ascan_plotselect": Kind("k05_ascan", (plotted("diode1", "diode2"),)),
    "ascan_describes_plot": Kind("k05_ascan", (describes(_CURVES),)),
    "ascan_noconfig": Kind("k05_ascan", (), OPTIONS["noconfig"]),
    "timescan_multivalue_positioners": Kind("k04_timescan", (), OPTIONS["multivalue_positioners"]),
    "mesh_plotselect": Kind(_MESH, (plotted(DIODE),)),
    "mesh_plotselect_back_and_forth": Kind(_MESH, (plotted(DIODE), back_and_forth)),
    "mesh_plotselect_aborted": Kind(_MESH, (plotted(DIODE), aborted(15))),
    "mesh_keepshape": Kind(_MESH, (), OPTIONS["keepshape"]),
    "mesh_keepshape_plotselect": Kind(_MESH, (plotted(DIODE),), OPTIONS["keepshape"]),
    "mesh_keepshape_plotselect_back_and_forth": Kind(
        _MESH, (plotted(DIODE), back_and_forth), OPTIONS["keepshape"]
    ),
    "mca_plotselect": Kind(_MCA, (plotted("spectrum_det0"),), one=True),
    "mca_technique": Kind(_MCA, (of_technique,), one=True),
    "mca_technique_stackmca": Kind(_MCA, (of_technique,), OPTIONS["stackmca"], one=True),
    "bigdata_zstd": Kind("k31_bigdata_1d", (), OPTIONS["zstd"]),
    "mca_noconfig": Kind(_MCA, (), OPTIONS["noconfig"], one=True),
    "camera_plotselect": Kind(_CAMERA, (plotted("image"),), one=True),
    "camera_disable_external_hdf5": Kind(_CAMERA, (), OPTIONS["disable_external_hdf5"], one=True),
    "camera_copy_non_external": Kind(_CAMERA, (), OPTIONS["copy_non_external"], one=True),
    "sequence_of_other_file": Kind("k18_sequence", (of_other_file,), one=True),
    "esrf_policy": Kind("k28_many_in_one_file", (below_esrf_policy,), one=True),
    "esrf_policy_separate_scan_files": Kind(
        "k33_separate_scan_files", (below_esrf_policy,), one=True
    ),
}
"""Kinds that were not recorded: options of the writer, plots, the data policy of the ESRF."""

RECORDED = tuple(sorted(path.stem for path in (DATA / "scans").glob("*.json")))
UNSAVED = ("k01_ct_unsaved", "k27_save_false")
"""Recordings of scans that are not to be saved."""
SAVED: Mapping[str, Kind] = {
    **{name: Kind(name) for name in RECORDED if name not in UNSAVED},
    **VARIATIONS,
}
"""All kinds that leave files, by name."""
