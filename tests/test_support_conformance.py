"""Each test's files go through the gate: bad ones fail the test, a marker lets them pass."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import h5py
import pytest
from tests.support_conformance import findings_below
from tests.support_nexus import bluesky_file, esrf_file


def test_good_files_pass_and_frames_of_a_detector_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    esrf_file(tmp_path / "below" / "one.h5")
    bluesky_file(tmp_path / "two.nx")
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        file["entry_0000/a bad name"] = 1
    assert findings_below(tmp_path) == []


@pytest.mark.nonconforming("it is about bad files")
def test_bad_and_unreadable_files_are_named_with_their_findings(tmp_path: Path) -> None:
    for name, nx_class in (("root.h5", "NXroot"), ("entry.nx", None)):
        with h5py.File(tmp_path / name, "w") as file:
            if nx_class:
                file.attrs["NX_class"] = nx_class
            file.create_group("1.1").attrs["NX_class"] = "NXentry"
            file["1.1"].create_group("classless")
    (tmp_path / "torn.h5").write_bytes(b"torn")
    names = [finding.partition("::")[0] for finding in findings_below(tmp_path)]
    assert names == ["entry.nx", "root.h5", "torn.h5"]


@pytest.mark.nonconforming("the inner test leaves a bad file")
@pytest.mark.parametrize(("marker", "status"), [("", 1), ("@pytest.mark.nonconforming('why')", 0)])
def test_bad_file_fails_its_test_unless_marked(marker: str, status: int, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        dedent(
            """
            import pytest
            from tests.support_conformance import check_files_of

            @pytest.fixture(autouse=True)
            def nexus_files_conform(request):
                yield from check_files_of(request)
            """
        )
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = nonconforming(reason)\n")
    (tmp_path / "test_it.py").write_text(
        dedent(
            f"""
            import h5py, pytest

            @pytest.fixture
            def open_file(tmp_path):
                with h5py.File(tmp_path / "bad.h5", "w") as file:
                    yield file

            {marker}
            def test_bad_file(open_file):
                open_file.attrs["NX_class"] = "NXroot"
                open_file.create_group("classless")

            def test_without_files():
                pass
            """
        )
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    command += [f"--basetemp={tmp_path / 'inner'}"]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout
    assert ("bad.h5::/classless: the group has no NX_class" in done.stdout) is bool(status)
