"""Master files link to scans; whatever becomes of a master file, the scan is saved."""

import os
import subprocess
import sys
from contextlib import contextmanager

import h5py
import pytest
from tests.support_scan_writer import DIODE, ROBX, Bench
from tests.support_waiting import wait_for

from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.service.files import LOCKED_FILE_PERIOD


@pytest.fixture
def make(tmp_path):
    """Makes scans of datasets below a proposal's folder."""
    benches = []

    def bench(dataset="a/a.h5", master="proposal.h5", **more):
        path = tmp_path / dataset
        masters = {"proposal": str(tmp_path / master)}
        made = Bench(path.parent, path=str(path), master_files=masters, **more)
        made.path = path
        benches.append(made)
        return made

    yield bench
    for made in benches:
        made.disk.stop()


def begin(bench):
    bench.prepare()
    for name in (ROBX, DIODE):
        bench.send(name, 1, 2, 3, 4)
        bench.seal(name, 4)


def end(bench):
    bench.end()
    bench.settle_until_over()
    return bench.status.verdict


def points(path, link):
    with h5py.File(path) as file:
        return list(file[link]["measurement/robx"])


def test_a_scan_is_read_through_its_master_file_by_a_relative_path(make, tmp_path):
    bench = make()
    begin(bench)
    verdict = end(bench)
    assert verdict.outcome is Outcome.COMPLETE
    assert verdict.warnings == ()
    moved = tmp_path.with_name(f"{tmp_path.name}_moved")
    tmp_path.rename(moved)
    assert points(moved / "proposal.h5", "a_7.1") == [1, 2, 3, 4]
    moved.rename(tmp_path)


def test_datasets_of_one_name_are_all_in_the_master_file(make, tmp_path):
    for number, dataset in enumerate(("x/a.h5", "y/a.h5", "z/a.h5")):
        bench = make(dataset, key=ScanKey(f"esrf:scan:{number}"))
        begin(bench)
        assert end(bench).outcome is Outcome.COMPLETE
    with h5py.File(tmp_path / "proposal.h5") as file:
        found = {name: file.get(name, getlink=True).filename for name in file}
    assert found == {"a_7.1": "x/a.h5", "a_7.1_2": "y/a.h5", "a_7.1_3": "z/a.h5"}


def test_scans_in_files_of_their_own_are_all_in_both_master_files(make, tmp_path):
    for number in (7, 8):
        bench = make(
            key=ScanKey(f"esrf:scan:{number}"),
            number=number,
            images_path=f"scan{number:04}/{{img_acq_device}}_",
            separate_files=True,
        )
        begin(bench)
        assert end(bench).outcome is Outcome.COMPLETE
    for master, names in (("a/a.h5", ["7.1", "8.1"]), ("proposal.h5", ["a_7.1", "a_8.1"])):
        with h5py.File(tmp_path / master) as file:
            assert list(file) == names
        for name in names:
            assert points(tmp_path / master, name) == [1, 2, 3, 4]


_HOLD = """
import sys
from nexus_writer_service.hdf5.file import NexusFile
file = NexusFile.open(sys.argv[1])
print("holding", flush=True)
sys.stdin.read()
file.close()
"""
_HOLD_WITH_H5PY = """
import sys, h5py
with h5py.File(sys.argv[1], "a"):
    print("holding", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(path, code=_HOLD):
    """Another process has the file open for writing."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"holding\n"
    try:
        yield
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


@pytest.mark.parametrize("code", [_HOLD, _HOLD_WITH_H5PY], ids=["by a writer", "by h5py"])
@pytest.mark.nonconforming("the master file is that of another program")
def test_a_master_file_that_stays_busy_costs_its_link_and_the_verdict_says_so(make, tmp_path, code):
    bench = make()
    master = tmp_path / "proposal.h5"
    with held(master, code):
        begin(bench)
        verdict = end(bench)
    assert verdict.outcome is Outcome.COMPLETE
    (warning,) = verdict.warnings
    assert f"no link to the scan in {master}" in warning
    assert points(bench.path, "7.1") == [1, 2, 3, 4]


@pytest.mark.nonconforming("the master file is that of another program")
def test_a_master_file_that_is_busy_for_a_while_gets_its_link(make, tmp_path, caplog):
    bench = make()
    master = tmp_path / "proposal.h5"
    with held(master):
        begin(bench)
        bench.settle()
    assert "it is tried again until the scan ends" in caplog.text
    bench.clock.advance(LOCKED_FILE_PERIOD)
    verdict = end(bench)
    assert verdict.outcome is Outcome.COMPLETE
    assert verdict.warnings == ()
    assert points(master, "a_7.1") == [1, 2, 3, 4]


@pytest.mark.nonconforming("the master file is that of another program")
def test_the_link_comes_while_the_scan_runs(make, tmp_path):
    bench = make()
    master = tmp_path / "proposal.h5"
    with held(master):
        begin(bench)
        bench.settle()
    bench.clock.advance(3.0)
    bench.settle()
    assert points(master, "a_7.1") == [1, 2, 3, 4]
    end(bench)


def test_a_reader_in_the_master_file_is_in_nobody_s_way(make, tmp_path):
    NexusFile.open(str(tmp_path / "proposal.h5")).close()
    bench = make()
    code = _HOLD_WITH_H5PY.replace('"a"', '"r"')
    with held(tmp_path / "proposal.h5", code):
        begin(bench)
        verdict = end(bench)
    assert verdict.outcome is Outcome.COMPLETE
    assert verdict.warnings == ()
    wait_for(lambda: bench.files.poll() or not bench.files.pending, what="the link to show")
    bench.files.close()
    assert points(tmp_path / "proposal.h5", "a_7.1") == [1, 2, 3, 4]


def broken(path):
    path.write_text("not HDF5")


def unwritable(path):
    NexusFile.open(str(path)).close()
    path.chmod(0o444)


def folder(path):
    path.mkdir()


def below_a_file(path):
    path.parent.write_text("a file, not a folder")


@pytest.mark.parametrize(
    ("spoil", "master"),
    [
        (broken, "proposal.h5"),
        (folder, "proposal.h5"),
        (below_a_file, "file/proposal.h5"),
        pytest.param(
            unwritable,
            "proposal.h5",
            marks=pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything"),
        ),
    ],
)
@pytest.mark.nonconforming("the master file is spoilt")
def test_a_master_file_that_cannot_be_written_costs_its_link_only(make, tmp_path, spoil, master):
    spoil(tmp_path / master)
    bench = make(master=master)
    begin(bench)
    verdict = end(bench)
    assert verdict.outcome is Outcome.COMPLETE
    (warning,) = verdict.warnings
    assert f"no link to the scan in {tmp_path / master}" in warning
    assert points(bench.path, "7.1") == [1, 2, 3, 4]


def test_a_name_that_somebody_has_in_the_master_file_stays_his(make, tmp_path):
    with h5py.File(tmp_path / "proposal.h5", "w") as file:
        file.attrs["NX_class"] = "NXroot"
        file.create_group("a_7.1").attrs["NX_class"] = "NXentry"
    bench = make()
    begin(bench)
    assert end(bench).warnings == ()
    with h5py.File(tmp_path / "proposal.h5") as file:
        assert isinstance(file.get("a_7.1", getlink=True), h5py.HardLink)
    assert points(tmp_path / "proposal.h5", "a_7.1_2") == [1, 2, 3, 4]
