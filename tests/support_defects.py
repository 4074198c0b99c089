"""Defects to plant in good files, and the rule of the gate that each breaks."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from tests.support_nexus import POINTS, bluesky_file, dataset, esrf_file, group


@dataclass(frozen=True)
class Layout:
    """Where to plant in a file."""

    make: Callable[[Path], Path]
    entry: str
    data: str
    axis: str
    detector: str


LAYOUTS = {
    "esrf": Layout(
        esrf_file, "1.2", "1.2/plot", "1.2/instrument/robx/value", "1.2/instrument/diode1"
    ),
    "bluesky": Layout(
        bluesky_file,
        "entry",
        "entry/data",
        "entry/instrument/bluesky/streams/primary/motor/value",
        "entry/instrument/detectors/sensor",
    ),
}


def replace(file: h5py.File, path: str, value: Any) -> None:
    attributes = dict(file[path].attrs)
    del file[path]
    dataset(file, path, value, **attributes)


def signal_names_nothing(file: h5py.File, at: Layout) -> None:
    file[at.data].attrs["signal"] = "nothing"


def no_signal(file: h5py.File, at: Layout) -> None:
    del file[at.data].attrs["signal"]


def axes_name_nothing(file: h5py.File, at: Layout) -> None:
    file[at.data].attrs["axes"] = ["nothing"]


def too_many_axes(file: h5py.File, at: Layout) -> None:
    file[at.data].attrs["axes"] = [".", at.axis.rpartition("/")[2], "."]


def auxiliary_signal_names_nothing(file: h5py.File, at: Layout) -> None:
    file[at.data].attrs["auxiliary_signals"] = ["nothing"]


def auxiliary_signal_of_another_shape(file: h5py.File, at: Layout) -> None:
    dataset(file[at.data], "other", np.zeros((POINTS, 2)))
    file[at.data].attrs["auxiliary_signals"] = ["other"]


def indices_of_nothing(file: h5py.File, at: Layout) -> None:
    file[at.data].attrs["nothing_indices"] = 0


def indices_beyond_the_signal(file: h5py.File, at: Layout) -> None:
    dataset(file[at.data], "other", np.zeros(POINTS))
    file[at.data].attrs["other_indices"] = 1


def indices_that_are_no_numbers(file: h5py.File, at: Layout) -> None:
    dataset(file[at.data], "other", np.zeros(POINTS))
    file[at.data].attrs["other_indices"] = "0"


def axis_of_another_length(file: h5py.File, at: Layout) -> None:
    name = file[at.data].attrs["axes"][0]
    del file[at.data][name]
    dataset(file[at.data], name, np.zeros(POINTS + 2))


def misspelt_class(file: h5py.File, at: Layout) -> None:
    file[at.detector].attrs["NX_class"] = "NXdetektor"


def group_without_class(file: h5py.File, at: Layout) -> None:
    del file[at.detector].attrs["NX_class"]


def class_in_the_wrong_place(file: h5py.File, at: Layout) -> None:
    group(file[at.detector], "sample", "NXsample")


def bad_start_time(file: h5py.File, at: Layout) -> None:
    replace(file, f"{at.entry}/start_time", "yesterday at noon")


def start_time_is_a_number(file: h5py.File, at: Layout) -> None:
    replace(file, f"{at.entry}/start_time", 1795200994.5)


def bad_file_time(file: h5py.File, _at: Layout) -> None:
    file.attrs["file_time"] = "20.11.2026"


def file_time_is_a_number(file: h5py.File, _at: Layout) -> None:
    file.attrs["file_time"] = 1795200994.5


def unknown_unit(file: h5py.File, at: Layout) -> None:
    file[at.axis].attrs["units"] = "banana"


def unit_is_a_number(file: h5py.File, at: Layout) -> None:
    file[at.axis].attrs["units"] = 3


def no_unit_where_one_is_needed(file: h5py.File, at: Layout) -> None:
    dataset(file[at.detector], "distance", 1.5)


def value_outside_the_enumeration(file: h5py.File, at: Layout) -> None:
    source = file[at.entry]["instrument"].require_group("source")
    source.attrs["NX_class"] = "NXsource"
    source.pop("probe", None)
    dataset(source, "probe", "gravitation")


def name_with_a_blank(file: h5py.File, at: Layout) -> None:
    dataset(file[at.detector], "my gain", 3)


def attribute_with_a_blank(file: h5py.File, at: Layout) -> None:
    file[at.axis].attrs["my label"] = "x"


def name_that_is_too_long(file: h5py.File, at: Layout) -> None:
    dataset(file[at.detector], "g" * 64, 3)


def broken_soft_link(file: h5py.File, at: Layout) -> None:
    file[at.detector]["alias"] = h5py.SoftLink("/nowhere/to/be/found")


def soft_link_to_itself(file: h5py.File, at: Layout) -> None:
    file[at.detector]["alias"] = h5py.SoftLink("alias")


def missing_external_file(file: h5py.File, at: Layout) -> None:
    file[at.detector]["frames"] = h5py.ExternalLink("missing.h5", "/data")


def soft_link_to_a_missing_file(file: h5py.File, at: Layout) -> None:
    missing_external_file(file, at)
    file[at.detector]["alias"] = h5py.SoftLink("frames")


def soft_links_to_a_missing_file(file: h5py.File, at: Layout) -> None:
    soft_link_to_a_missing_file(file, at)
    file["alias"] = h5py.SoftLink(f"{at.detector}/alias")
    file[at.detector]["other"] = h5py.SoftLink("/alias")


def circle_of_soft_links(file: h5py.File, at: Layout) -> None:
    file[at.detector]["one"] = h5py.SoftLink("other")
    file[at.detector]["other"] = h5py.SoftLink("one")


def external_link_to_nothing_in_a_file(file: h5py.File, at: Layout) -> None:
    with h5py.File(Path(file.filename).with_name("other.h5"), "w") as other:
        other["data"] = 1
    file[at.detector]["frames"] = h5py.ExternalLink("other.h5", "/nothing")


def target_names_another_object(file: h5py.File, at: Layout) -> None:
    file[at.axis].attrs["target"] = f"/{at.entry}"


def virtual_dataset(file: h5py.File, at: Layout, source: str, path: str, rows: int) -> None:
    virtual = h5py.VirtualLayout((rows, 2), np.int32)
    virtual[:] = h5py.VirtualSource(source, path, (rows, 2))[:rows]
    file[at.detector].create_virtual_dataset("frames", virtual)


def missing_source_file(file: h5py.File, at: Layout) -> None:
    virtual_dataset(file, at, "missing.h5", "data", 4)


def missing_source_dataset(file: h5py.File, at: Layout) -> None:
    virtual_dataset(file, at, ".", "/nothing", 4)


def source_dataset_too_short(file: h5py.File, at: Layout) -> None:
    dataset(file[at.detector], "rows", np.zeros((3, 2), np.int32))
    virtual_dataset(file, at, ".", f"/{at.detector}/rows", 4)


def source_file_that_is_no_hdf5(file: h5py.File, at: Layout) -> None:
    Path(file.filename).with_name("other.h5").write_text("not HDF5")
    virtual_dataset(file, at, "other.h5", "data", 4)


def missing_raw_file(file: h5py.File, at: Layout) -> None:
    raw = [("missing.raw", 0, 4 * POINTS)]
    file[at.detector].create_dataset("frames", (POINTS,), np.int32, external=raw)


def file_default_names_nothing(file: h5py.File, _at: Layout) -> None:
    file.attrs["default"] = "nothing"


def file_without_default(file: h5py.File, _at: Layout) -> None:
    del file.attrs["default"]


def file_default_is_no_entry(file: h5py.File, at: Layout) -> None:
    file.attrs["default"] = f"{at.entry}/instrument"


def entry_without_default(file: h5py.File, at: Layout) -> None:
    del file[at.entry].attrs["default"]


def entry_default_names_nothing(file: h5py.File, at: Layout) -> None:
    file[at.entry].attrs["default"] = "nothing"


def entry_default_is_no_plot(file: h5py.File, at: Layout) -> None:
    file[at.entry].attrs["default"] = "instrument"


def title_is_a_number(file: h5py.File, at: Layout) -> None:
    replace(file, f"{at.entry}/title", 5)


def undefined_field(file: h5py.File, at: Layout) -> None:
    dataset(file[at.entry], "weather", "rain")


def undefined_attribute(file: h5py.File, at: Layout) -> None:
    file[at.entry].attrs["weather"] = "rain"


def attribute_of_the_old_plots(file: h5py.File, at: Layout) -> None:
    file[f"{at.entry}/title"].attrs["signal"] = 1


DEFECTS: dict[Callable[[h5py.File, Layout], None], str] = {
    signal_names_nothing: "data",
    no_signal: "data",
    axes_name_nothing: "data",
    too_many_axes: "data",
    auxiliary_signal_names_nothing: "data",
    auxiliary_signal_of_another_shape: "data",
    indices_of_nothing: "data",
    indices_beyond_the_signal: "data",
    indices_that_are_no_numbers: "data",
    axis_of_another_length: "data",
    misspelt_class: "class",
    group_without_class: "class",
    class_in_the_wrong_place: "nxdl",
    bad_start_time: "time",
    start_time_is_a_number: "text",
    bad_file_time: "time",
    file_time_is_a_number: "time",
    unknown_unit: "units",
    unit_is_a_number: "units",
    no_unit_where_one_is_needed: "nxdl",
    value_outside_the_enumeration: "nxdl",
    name_with_a_blank: "name",
    attribute_with_a_blank: "name",
    name_that_is_too_long: "name",
    broken_soft_link: "link",
    soft_link_to_itself: "link",
    missing_external_file: "link",
    soft_link_to_a_missing_file: "link",
    soft_links_to_a_missing_file: "link",
    circle_of_soft_links: "link",
    external_link_to_nothing_in_a_file: "link",
    target_names_another_object: "link",
    missing_source_file: "virtual",
    missing_source_dataset: "virtual",
    source_dataset_too_short: "virtual",
    source_file_that_is_no_hdf5: "virtual",
    missing_raw_file: "virtual",
    file_default_names_nothing: "default",
    file_without_default: "default",
    file_default_is_no_entry: "default",
    entry_without_default: "default",
    entry_default_names_nothing: "default",
    entry_default_is_no_plot: "default",
    title_is_a_number: "text",
    undefined_field: "nxdl",
    undefined_attribute: "nxdl",
    attribute_of_the_old_plots: "nxdl",
}
FILES_AWAY = (
    missing_external_file,
    soft_link_to_a_missing_file,
    soft_links_to_a_missing_file,
    missing_source_file,
    missing_raw_file,
)
