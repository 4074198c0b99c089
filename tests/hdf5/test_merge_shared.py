"""What several scans write into one place of a file: its default, links to scans of other files."""

import h5py
import pytest

from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.model.tree import ExternalLink, Group

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "file.h5")


def write(path, *trees):
    """Merge trees into a file; returns all problems."""
    file = NexusFile.open(path)
    problems = [problem for tree in trees for problem in file.merge(tree)]
    file.close()
    return problems


def scan(name, *, plot):
    """The end of a scan: its entry is the file's default, and may have a default itself."""
    entry = Group({"plot": Group()}, {"default": "plot"} if plot else {})
    return Group({name: entry}, {"default": name})


@pytest.mark.parametrize(
    ("plots", "default"),
    [
        ([False], "1.1"),
        ([False, False], "2.1"),
        ([False, True], "2.1"),
        ([True, False], "1.1"),
        ([True, True], "2.1"),
        ([True, False, False], "1.1"),
        ([True, False, True, False], "3.1"),
    ],
)
def test_the_default_of_a_file_is_its_last_scan_with_a_plot_else_its_last_scan(
    path, plots, default
):
    scans = [scan(f"{number}.1", plot=plot) for number, plot in enumerate(plots, 1)]
    assert write(path, *scans) == []
    with h5py.File(path) as file:
        assert file.attrs["default"] == default


def test_a_default_that_leads_nowhere_makes_way(path):
    assert write(path, Group(attributes={"default": "gone"}), scan("1.1", plot=False)) == []
    with h5py.File(path) as file:
        assert file.attrs["default"] == "1.1"


def test_a_default_that_is_a_link_is_not_followed(path):
    with h5py.File(path, "w") as file:
        file["9.1"] = h5py.ExternalLink("missing.h5", "/9.1")
        file.attrs["default"] = "9.1"
    assert write(path, scan("1.1", plot=False)) == []
    with h5py.File(path) as file:
        assert file.attrs["default"] == "1.1"


def test_the_scan_that_got_its_plot_earlier_stays_the_default_when_it_ends(path):
    ends = Group({"2.1": Group()}, {"default": "2.1"})
    assert write(path, scan("1.1", plot=True), scan("2.1", plot=True), ends) == []
    with h5py.File(path) as file:
        assert file.attrs["default"] == "2.1"


def link(file, target="/7.1"):
    return Group({"a_7.1": ExternalLink(file, target, makes_way=True)})


def links(path):
    with h5py.File(path) as file:
        found = {name: file.get(name, getlink=True) for name in file}
        return {name: (one.filename, one.path) for name, one in found.items()}


def test_links_of_one_name_to_different_scans_are_all_there(path):
    assert write(path, link("x/a.h5"), link("y/a.h5"), link("z/a.h5")) == []
    assert links(path) == {
        "a_7.1": ("x/a.h5", "/7.1"),
        "a_7.1_2": ("y/a.h5", "/7.1"),
        "a_7.1_3": ("z/a.h5", "/7.1"),
    }


def test_a_link_that_is_there_is_not_made_again(path):
    assert write(path, link("x/a.h5"), link("y/a.h5")) == []
    assert write(path, link("y/a.h5"), link("x/a.h5")) == []
    assert links(path) == {"a_7.1": ("x/a.h5", "/7.1"), "a_7.1_2": ("y/a.h5", "/7.1")}


def test_a_link_makes_way_for_a_group(path):
    assert write(path, Group({"a_7.1": Group()}), link("x/a.h5")) == []
    with h5py.File(path) as file:
        assert isinstance(file.get("a_7.1", getlink=True), h5py.HardLink)
        assert file.get("a_7.1_2", getlink=True).filename == "x/a.h5"
