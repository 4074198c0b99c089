"""The example, with its EPICS records, motor and RunEngine; and its notebook."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.support_conformance import findings_below

from nexus_writer_service.sources.bluesky.recording import read_recording

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "bluesky_nxwriter.py"
NOTEBOOK = ROOT / "examples" / "bluesky_nxwriter.ipynb"
META = "entry/instrument/bluesky/metadata"
COMPLETE = re.compile(r"^run \w{7}: complete: ", re.MULTILINE)
ROW = re.compile(r"^\| +\d+ \| ([\d:.]+) \| +([-\d.]+) \| +([-\d.]+) \|", re.MULTILINE)
"""Of the LiveTable."""
STREAM = "entry/instrument/bluesky/streams/primary"

pytest.importorskip("softioc", reason="soft IOCs come with the extra demo-bluesky")
pytest.importorskip("caproto", reason="soft IOCs come with the extra demo-bluesky")


@dataclass(frozen=True)
class Example:
    """What the example left behind."""

    folder: Path
    said: str

    @property
    def file(self) -> Path:
        return self.folder / "nxwriter.h5"


def ran(program: Path, folder: Path) -> Example:
    """Run the example until it ends."""
    done = subprocess.run(
        [sys.executable, str(program), f"--out={folder}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "MPLBACKEND": "Agg"},
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return Example(folder, done.stdout)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    """The example has been run, once for all tests."""
    return ran(SCRIPT, tmp_path_factory.mktemp("example"))


def text(file: h5py.File, path: str) -> str:
    return str(file[path].asstr()[()])


def test_the_file_and_its_export_are_complete_and_conform(example: Example) -> None:
    assert len(COMPLETE.findall(example.said)) == 1
    assert (example.folder / "export.h5").exists()
    assert (example.folder / "nxwriter.png").stat().st_size > 5000
    assert findings_below(example.folder) == []


def test_values_times_and_units_are_those_of_the_live_table(example: Example) -> None:
    rows = ROW.findall(example.said)
    assert len(rows) == 5
    with h5py.File(example.file, "r") as file:
        for column, key in ((1, "motor"), (2, "sensor")):
            shown = [float(row[column]) for row in rows]
            assert file[f"entry/data/{key}"][()] == pytest.approx(shown, abs=1e-5)
        assert file[f"{STREAM}/sensor/value"].attrs["units"] == "V"
        assert file[f"{STREAM}/motor/value"].attrs["units"] == ""
        events = [
            one for kind, one in read_recording(example.folder / "run.jsonl") if kind == "event"
        ]
        times = [one["timestamps"]["sensor"] for one in events]
        assert file[f"{STREAM}/sensor/EPOCH"][()].tolist() == times


def test_the_root_says_who_made_the_file(example: Example) -> None:
    with h5py.File(example.file, "r") as file:
        names = {"HDF5_Version", "NeXus_version", "creator", "default", "file_name", "file_time"}
        assert names | {"h5py_version"} <= set(file.attrs)
        assert file.attrs["creator"] == "NXWriter"
        assert file.attrs["default"] == "entry"
        assert file.attrs["NeXus_version"] == file.attrs["NeXus_release"] == "v2020.1"


def test_the_entry_tells_of_the_run(example: Example) -> None:
    with h5py.File(example.file, "r") as file:
        entry = file["entry"]
        assert dict(entry.attrs) == {
            "NX_class": "NXentry",
            "default": "data",
            "target": "/entry",
        }
        assert entry["duration"].dtype == np.float64
        assert entry["duration"].attrs["units"] == "s"
        uid = text(file, f"{META}/run_start_uid")
        assert text(file, "entry/entry_identifier") == uid
        assert text(file, "entry/plan_name") == "scan"
        assert text(file, "entry/program_name") == "bluesky"
        assert text(file, "entry/title") == f"S0001-scan-{uid[:7]}"
        for name in ("start_time", "end_time"):
            assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+", text(file, f"entry/{name}"))


def test_the_plot_is_the_sensor_against_the_motor(example: Example) -> None:
    with h5py.File(example.file, "r") as file:
        data = file["entry/data"]
        assert data.attrs["signal"] == "sensor"
        assert list(data.attrs["axes"]) == ["motor"]
        for key in ("motor", "motor_user_setpoint", "sensor"):
            assert data[key] == file[f"{STREAM}/{key}/value"]
        assert data["EPOCH"] == file[f"{STREAM}/sensor/time"]


def test_what_links_lead_to_tells_its_own_path(example: Example) -> None:
    seen: list[str] = []

    def look(name: str, node: h5py.HLObject) -> None:
        target = node.attrs.get("target")
        if target is not None:
            seen.append(target)
            assert file[target] == node, f"{name} leads to {target}"

    with h5py.File(example.file, "r") as file:
        file.visititems(look)
    assert f"/{STREAM}/sensor/value" in seen


def test_the_start_document_is_there_key_by_key(example: Example) -> None:
    with h5py.File(example.file, "r") as file:
        assert text(file, f"{META}/detectors") == "- sensor\n"
        for key in ("detectors", "hints", "motors", "plan_args", "versions"):
            assert file[f"{META}/{key}"].attrs["text_format"] == "yaml"
            assert file[f"{META}/{key}"].attrs["target"] == f"/{META}/{key}"
        for key, value in (("num_points", 5), ("num_intervals", 4)):
            assert file[f"{META}/{key}"].dtype == np.int64
            assert file[f"{META}/{key}"][()] == value
        for key in ("plan_name", "plan_pattern", "plan_pattern_module", "plan_type"):
            assert "text_format" not in file[f"{META}/{key}"].attrs
        assert file[f"{META}/run_start_uid"].attrs["long_name"] == "bluesky run uid"
        note = file["entry/instrument/bluesky"]
        assert note["uid"] == file[f"{META}/run_start_uid"]
        assert note["plan_name"] == file[f"{META}/plan_name"]


def test_each_signal_has_its_times_and_what_is_known_of_it(example: Example) -> None:
    with h5py.File(example.file, "r") as file:
        assert file[STREAM].attrs["NX_class"] == "NXnote"
        assert len(file[STREAM].attrs["uid"]) == 36
        kinds = {"motor": "positioner", "motor_user_setpoint": "other", "sensor": "detector"}
        for key, kind in kinds.items():
            group = file[f"{STREAM}/{key}"]
            assert group.attrs["NX_class"] == "NXdata"
            assert (group.attrs["signal"], list(group.attrs["axes"])) == ("value", ["time"])
            assert group.attrs["signal_type"] == group["value"].attrs["signal_type"] == kind
            assert group["EPOCH"].attrs["long_name"] == "epoch time (s)"
            assert group["EPOCH"].attrs["units"] == group["time"].attrs["units"] == "s"
            assert group["time"].attrs["long_name"] == "time since first data (s)"
            assert group["time"].attrs["start_time"] == group["EPOCH"][0]
            assert "start_time_iso" in group["time"].attrs
            assert group["time"][()].tolist() == (group["EPOCH"] - group["EPOCH"][0]).tolist()
            names = {"long_name", "lower_ctrl_limit", "upper_ctrl_limit", "precision", "source"}
            assert names | {"units"} <= set(group["value"].attrs)
            assert group["value"].attrs["long_name"] == key
            assert group["value"].attrs["source"].startswith("PV:")


def test_the_instrument_has_its_devices(example: Example) -> None:
    with h5py.File(example.file, "r") as file:
        instrument = file["entry/instrument"]
        assert instrument.attrs["NX_class"] == "NXinstrument"
        assert instrument["detectors/sensor"].attrs["NX_class"] == "NXdetector"
        assert instrument["detectors/sensor/data"] == file[f"{STREAM}/sensor"]
        assert instrument["positioners/motor"].attrs["NX_class"] == "NXpositioner"
        assert instrument["positioners/motor/value"] == file[f"{STREAM}/motor"]
        source = instrument["source"]
        assert source.attrs["NX_class"] == "NXsource"
        assert text(file, "entry/instrument/source/name") == "Bluesky framework"
        assert source["name"].attrs["short_name"] == "bluesky"
        assert text(file, "entry/instrument/source/type") == "Synchrotron X-ray Source"
        assert text(file, "entry/instrument/source/probe") == "x-ray"


def contents(path: Path) -> dict[str, object]:
    """Everything in a file except what tells of its writing."""
    found: dict[str, object] = {}

    def look(name: str, node: h5py.HLObject) -> None:
        value = str(node[()]) if isinstance(node, h5py.Dataset) else None
        found[name] = (value, {key: str(node.attrs[key]) for key in node.attrs})

    with h5py.File(path, "r") as file:
        file.visititems(look)
    return {name: one for name, one in found.items() if not name.startswith("entry/writer")}


def test_the_export_has_the_content_of_the_live_file(example: Example) -> None:
    assert contents(example.folder / "export.h5") == contents(example.file)


def test_the_notebook_takes_the_same_steps(tmp_path: Path) -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    program = tmp_path / "notebook.py"
    folder = tmp_path / "made"
    body = "\n\n".join(code).replace('Path("demo-output", "notebook")', f"Path({str(folder)!r})")
    program.write_text(body + "\n\nimport os\nos._exit(0)\n", encoding="utf-8")
    made = ran(program, folder)
    assert len(COMPLETE.findall(made.said)) == 1
    assert {path.name for path in folder.iterdir()} >= {"nxwriter.h5", "export.h5", "nxwriter.png"}
