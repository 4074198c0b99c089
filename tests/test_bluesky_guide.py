"""What docs/bluesky.md shows works as written."""

import os
import re
import shlex
from pathlib import Path
from typing import Any

import h5py
import pytest
from tests.support_recordings import recorded
from typer.testing import CliRunner

from nexus_writer_service.bluesky import NXWriter
from nexus_writer_service.cli.main import app
from nexus_writer_service.sources.bluesky.encoding import unpack
from nexus_writer_service.sources.bluesky.recording import Recorder

GUIDE = (Path(__file__).parents[1] / "docs" / "bluesky.md").read_text(encoding="utf-8")


def block(part: str) -> str:
    """The block of Python in which something stands."""
    found = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    (one,) = [text for text in found if part in text]
    return str(one)


def shown(part: str, **given: Any) -> dict[str, Any]:
    """What the block defines."""
    names = dict(given)
    exec(compile(block(part), "docs/bluesky.md", "exec"), names)  # noqa: S102 - it is our guide
    return names


def written(writer: NXWriter, documents: list[Any]) -> Path:
    for name, doc in documents:
        writer.receiver(name, doc)
    (result,) = writer.wait_writer(timeout=60)
    assert result.ok, result
    assert result.file is not None
    return result.file


@pytest.fixture
def documents(tmp_path: Path) -> list[Any]:
    found = list(recorded("sim_scan", tmp_path))
    found[0] = "start", {**found[0][1], "sample": "LaB6", "user": "Ada"}
    return found


def test_a_run_is_written_and_tells_what_became_of_it(
    documents: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    writer = NXWriter()
    writer.file_path = "data"
    for name, doc in documents:
        writer.receiver(name, doc)
    shown("result.verdict.reasons", nxwriter=writer)
    assert len(list((tmp_path / "data").iterdir())) == 1


def test_settings_that_the_guide_names_are_there() -> None:
    table = GUIDE.partition("### Settings")[2].partition("###")[0]
    names = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)))
    assert len(names) > 8
    assert [name for name in names if not hasattr(NXWriter(), name)] == []


def test_groups_of_one_s_own(documents: list[Any], tmp_path: Path) -> None:
    writer = shown("class BeamlineWriter")["BeamlineWriter"]()
    writer.file_name = str(tmp_path / "own.h5")
    documents[0][1].pop("title")
    with h5py.File(written(writer, documents), "r") as file:
        assert file.attrs["instrument"] == "ID00 powder diffraction"
        entry = file["entry"]
        assert entry["sample/name"][()] == b"LaB6"
        assert entry["user/name"][()] == b"Ada"
        assert entry["instrument/source/name"].attrs["short_name"] == "ESRF"
        assert entry["title"][()] == b"LaB6, scan 1"


def test_links_to_values_of_the_baseline(tmp_path: Path) -> None:
    writer = shown("class SlitWriter", NXWriter=NXWriter)["SlitWriter"]()
    writer.file_name = str(tmp_path / "slits.h5")
    run = list(recorded("streams_baseline_monitor", tmp_path))
    with h5py.File(written(writer, run), "r") as file:
        slits = file["entry/instrument/slits"]
        baseline = file["entry/instrument/bluesky/streams/baseline"]
        assert set(slits) <= set(baseline)
        assert all(slits[key] == baseline[key]["value_start"] for key in slits)


def test_names_of_one_s_own(documents: list[Any], tmp_path: Path) -> None:
    writer = shown("class MappedWriter", NXWriter=NXWriter)["MappedWriter"]()
    writer.file_path = str(tmp_path)
    assert written(writer, documents) == tmp_path / "LaB6_0001.h5"


@pytest.mark.nonconforming("half of an NXmonopd, to show how it is done")
def test_an_application_definition_by_template(documents: list[Any], tmp_path: Path) -> None:
    documents[0] = "start", {**documents[0][1], **shown("NXMONOPD")["METADATA"]}
    writer = NXWriter()
    writer.file_name = str(tmp_path / "monopd.h5")
    with h5py.File(written(writer, documents), "r") as file:
        powder = file["entry/powder"]
        assert file["entry/definition"][()] == b"NXmonopd"
        assert powder.attrs["NX_class"] == "NXdata"
        assert powder[powder.attrs["signal"]].shape == powder["polar_angle"].shape == (11,)


def test_a_run_is_exported(
    documents: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown("exporter", run=documents)
    assert len(list((tmp_path / "exported").iterdir())) == 1


def test_the_first_command_exports_recordings(
    documents: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkdir("recordings")
    with Recorder("recordings/run.jsonl") as recorder:
        for name, doc in documents:
            recorder(name, doc)
    (command,) = re.findall(r"^nexus-writer (export recordings.*)$", GUIDE, re.MULTILINE)
    done = CliRunner().invoke(app, shlex.split(command))
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "exported").iterdir())) == 1


@pytest.mark.parametrize(
    "command", re.findall(r"^nexus-writer ((?:export|bluesky) .*)$", GUIDE, re.MULTILINE)
)
def test_options_of_the_commands_exist(command: str) -> None:
    name, *arguments = shlex.split(command)
    told = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).output
    assert [one for one in arguments if one.startswith("--") and one not in told] == []


def test_what_the_publisher_packs_is_read() -> None:
    assert "serializer=pack" in block("Publisher(")
    packed = shown("Publisher(")
    packed["publisher"].close()
    assert unpack(packed["pack"]({"uid": "a"})) == {"uid": "a"}
