"""Every recorded run becomes a complete file, with all that the reference's file has."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.support_recordings import DATA, INDEX, recorded
from tests.support_reference_listing import missing_of, read_listing

from nexus_writer_service.bluesky import NXWriter, NXWriterAPS, RunResult
from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.sources.bluesky.recording import Document

PATIENCE = 60.0
SOUND = sorted(name for name, one in INDEX.items() if one["reference"] == "sound")
INCOMPLETE = {
    "ad_hdf5_no_file": "missing files",
    "extra_key_not_in_descriptor": "the event does not have it",
    "missing_none_value": "its value is None",
    "templates_nxmonopd": "there is nothing at /does/not/exist",
}
"""Recordings of which something cannot be saved, and what the verdict says of it."""

WANTED = (
    (r"streams/\S+: @axes is \['time', '\.'", "an axis per dimension of the signal"),
    (r"/entry/data: @axes is \['motor', '\.'", "an axis per dimension of the signal"),
    (r"/entry/data: @axes is 'motor1?', not \[", "one axis for a signal of one dimension"),
    (r"/entry: @default is 'grid'", "a scan of a grid is shown as the grid that it is"),
    (r"/entry: @default is 'nothing'", "no plot is promised where there is nothing to plot"),
    (r"^/entry/data: not there", "no plot where there is nothing to plot"),
    (r"/entry/data: @signal is \S+, not 'strsig'", "text cannot be plotted"),
    (r"/instrument/source/energy: its type is <f8", "NXsource wants a float"),
    (r"/strarr/value: @(precision|\w+_ctrl_limit) is 'nothing'", "text has no such limits"),
)
"""What of the reference's files differs in ours, and why; docs/bluesky.md tells of each."""
SAFE_YAML = (
    r"/metadata/(hints|motors|plan_args|plan_pattern_args|snaking|shape|extents): its value is"
)
"""Tuples as lists, in the YAML of metadata: safe loaders refuse Python's own types."""

KEPT_NAMES = "names are those of the devices, so that what is looked for is found"
OTHER_FIELDS = "the reference's fields, which their classes do not define"
OWN_TEMPLATES = "what the templates of this run ask for is no valid NXmonopd"
NONCONFORMING = {
    "ad_hdf5_no_file": "the file of its detector is not there",
    "datakey_odd_names": KEPT_NAMES,
    "metadata_odd_keys": KEPT_NAMES,
    "oa_blob_count": KEPT_NAMES,
    "oa_blob_scan": KEPT_NAMES,
    "oa_point_scan": KEPT_NAMES,
    "full_optional_groups": OTHER_FIELDS,
    "full_optional_groups_aps": OTHER_FIELDS,
    "templates_nxmonopd": OWN_TEMPLATES,
}
"""Recordings whose files need not pass the conformance gate, and why."""


def each(names: Iterable[str]) -> list[Any]:
    """Parameters for tests: recordings, those marked whose files may not conform."""
    return [
        pytest.param(name, marks=pytest.mark.nonconforming(NONCONFORMING[name]))
        if name in NONCONFORMING
        else name
        for name in sorted(names)
    ]


def writer_for(name: str, folder: Path) -> NXWriter:
    """A writer with the settings with which the reference wrote this recording."""
    writer = (NXWriterAPS if INDEX[name].get("aps") else NXWriter)()
    writer.file_name = str(folder / f"{name}.h5")
    writer.warn_on_missing_content = False
    for attribute, value in INDEX[name].get("attributes", {}).items():
        setattr(writer, attribute, value)
    return writer


def written(writer: NXWriter, documents: Iterable[Document]) -> Path:
    """The file that a writer makes of a run."""
    for name, doc in documents:
        writer.receiver(name, doc)
        if name == "stop":
            writer.wait_writer(timeout=PATIENCE)
    return Path(writer.output_nexus_file)


def missing(name: str, file: Path, assets: Path) -> list[str]:
    """What of the reference's file is not in ours."""
    listing = read_listing(DATA / "listings" / f"{name}.json.gz")
    return missing_of(listing, file, ASSETS=str(assets))


@pytest.mark.parametrize("name", each(SOUND))
def test_all_that_the_reference_wrote_is_there(name: str, tmp_path: Path, assets: Path) -> None:
    file = written(writer_for(name, tmp_path), recorded(name, assets))
    wanted = re.compile("|".join([SAFE_YAML, *(pattern for pattern, _ in WANTED)]))
    assert [line for line in missing(name, file, assets) if not wanted.search(line)] == []


DISAGREEING = ("ad_hdf5", "arrays_in_events", "sim_grid_scan", "sim_list_scan", "strings_only")


@pytest.mark.nonconforming("the reference's plots are no valid NXdata")
@pytest.mark.parametrize("name", DISAGREEING)
def test_on_request_also_what_is_not_valid_is_as_in_the_reference(
    name: str, tmp_path: Path, assets: Path
) -> None:
    writer = writer_for(name, tmp_path)
    writer.as_apstools = True
    file = written(writer, recorded(name, assets))
    assert missing(name, file, assets) == []


@pytest.mark.parametrize("name", each(INDEX.keys() - INCOMPLETE.keys() - {"long_1e5"}))
def test_every_recording_is_written_completely(name: str, tmp_path: Path, assets: Path) -> None:
    assert [str(result) for result in results(name, tmp_path, assets) if not result.ok] == []


@pytest.mark.parametrize("name", each(INCOMPLETE))
def test_what_cannot_be_written_is_in_the_verdict(name: str, tmp_path: Path, assets: Path) -> None:
    (result,) = results(name, tmp_path, assets)
    assert result.verdict.outcome is Outcome.INCOMPLETE
    assert INCOMPLETE[name] in result.verdict.summary


def results(name: str, folder: Path, assets: Path) -> list[RunResult]:
    """What becomes of the runs of a recording."""
    writer = writer_for(name, folder)
    found: list[RunResult] = []
    for kind, doc in recorded(name, assets):
        writer.receiver(kind, doc)
        if kind == "stop":
            found += writer.wait_writer(timeout=PATIENCE)
    return found


def test_nothing_is_said_of_content_that_is_not_there(
    tmp_path: Path, assets: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for missing_content in (True, False):
        writer = writer_for("sim_count", tmp_path)
        writer.warn_on_missing_content = missing_content
        caplog.clear()
        assert written(writer, recorded("sim_count", assets)).exists()
        assert [one.message for one in caplog.records if "existed" not in one.message] == []
