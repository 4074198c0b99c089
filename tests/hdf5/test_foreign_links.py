"""Links to other files are never followed through the writer's own file.

There HDF5 takes the file that is being written for every other one. So each file here holds decoys:
objects at the paths that the links name in the other files.
"""

import h5py
import numpy as np
import pytest
from tests.support_hdf5 import read_elsewhere, run_python, stack, stream

from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.model.description import ImageFiles
from nexus_writer_service.model.tree import (
    Dataset,
    ExternalLink,
    Group,
    SoftLink,
    VirtualDataset,
    VirtualSource,
)

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")

DATA_PATH = "/entry/cam/data"
DECOY = -1


def frames(start, stop):
    numbers = np.arange(start, stop, dtype="i4")
    return np.broadcast_to(numbers[:, None, None] * 10, (stop - start, 3, 4)).copy()


@pytest.fixture
def folder(tmp_path):
    """Three files of two frames each, and one with other things."""
    for number in range(3):
        with h5py.File(tmp_path / f"cam_{number:04d}.h5", "w") as file:
            file[DATA_PATH] = frames(2 * number, 2 * number + 2)
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["value"] = 42
        other["numbers"] = [1, 2]
        other["text"] = "the other one"
        other["group/inside"] = 1
        other["group"].attrs["NX_class"] = "NXdata"
    return tmp_path


DECOYS = Group(
    {
        "entry": Group({"cam": Group({"data": Dataset(np.full((6, 3, 4), DECOY, "i4"))})}),
        "value": Dataset(DECOY),
        "numbers": Dataset(np.array([DECOY, DECOY])),
        "text": Dataset("a decoy"),
        "group": Group({"mine": Dataset(DECOY)}, {"NX_class": "NXcollection"}),
    }
)


@pytest.fixture
def file(folder):
    file = NexusFile.open(str(folder / "file.h5"), clock=lambda: 0.0)
    assert file.merge(DECOYS) == ()
    yield file
    file.close()


def decoys_are_untouched(path):
    with h5py.File(path) as file:
        assert (file[DATA_PATH][()] == DECOY).all()
        assert file["value"][()] == DECOY
        assert file["text"].asstr()[()] == "a decoy"
        assert list(file["group"]) == ["mine"]
        assert dict(file["group"].attrs) == {"NX_class": "NXcollection"}


def merged(file, **children):
    problems = file.merge(Group(children))
    file.commit()
    return problems


def test_through_the_writer_s_own_file_links_and_sources_lead_to_decoys(file):
    """The danger. Should this fail some day, HDF5 has learned to do without the rule."""
    source = VirtualSource("other.h5", "/numbers", (2,))
    shown = VirtualDataset(np.dtype("i8"), (2,), (source,))
    assert merged(file, link=ExternalLink("other.h5", "/value"), shown=shown) == ()
    through_the_writer = file._file._file
    assert through_the_writer["link"][()] == DECOY
    assert through_the_writer["shown"][()].tolist() == [DECOY, DECOY]
    assert read_elsewhere(file.path, "/link", "/shown") == [42, [1, 2]]


def test_an_external_link_is_neither_what_it_leads_to_nor_a_decoy(file):
    merged(
        file,
        text_link=ExternalLink("other.h5", "/text"),
        group_link=ExternalLink("other.h5", "/group"),
    )
    assert file.has("/group_link")
    assert not file.has("/group_link/inside")
    assert not file.has("/group_link/mine")
    assert file.read_text("/text_link") is None
    assert file.groups() == ("entry", "group")


def test_what_is_merged_at_an_external_link_takes_its_place_or_is_refused(file):
    links = {
        f"to_{name}": ExternalLink("other.h5", f"/{name}") for name in ("value", "text", "group")
    }
    assert merged(file, **links) == ()
    (problem,) = merged(
        file,
        to_value=Dataset(7),
        to_text=SoftLink("/value"),
        to_group=Group({"mine": Dataset(8), "inside": Dataset(9)}, {"NX_class": "NXlog"}),
    )
    assert "/to_group exists and is not a group" in problem
    assert read_elsewhere(file.path, "/to_value", "/to_text", "/to_group/inside") == [7, DECOY, 1]
    decoys_are_untouched(file.path)
    with h5py.File(file.path.replace("file.h5", "other.h5")) as other:
        assert other["value"][()] == 42
        assert other["group/inside"][()] == 1


def test_a_stream_and_a_stack_take_the_place_of_external_links(file, folder):
    assert merged(file, s=ExternalLink("other.h5", "/value"), i=ExternalLink("x", DATA_PATH)) == ()
    node = stack(images(folder), "i4")
    assert merged(file, s=stream("i4"), i=node) == ()
    file.append("/s", 0, [np.arange(3, dtype="i4")])
    file.extend("/i", 6)
    file.close()
    found = read_elsewhere(file.path, "/s", "/i")
    assert found == [[0, 1, 2], frames(0, 6).tolist()]
    decoys_are_untouched(file.path)


def test_an_external_link_can_be_pointed_elsewhere_and_pointed_there_again(file):
    for target, value in (("/value", 42), ("/group/inside", 1), ("/value", 42)):
        for _ in range(2):
            assert merged(file, link=ExternalLink("other.h5", target)) == ()
        assert read_elsewhere(file.path, "/link") == [value]
    decoys_are_untouched(file.path)


def test_a_virtual_dataset_over_other_files_can_be_made_anew(file):
    for count in (2, 4):
        sources = tuple(
            VirtualSource(f"cam_{n // 2:04d}.h5", DATA_PATH, (2, 3, 4), start=(n, 0, 0))
            for n in range(0, count, 2)
        )
        node = VirtualDataset(np.dtype("i4"), (count, 3, 4), sources, fill=DECOY)
        assert merged(file, shown=node) == ()
        assert read_elsewhere(file.path, "/shown") == [frames(0, count).tolist()]
    decoys_are_untouched(file.path)


def images(folder):
    return ImageFiles(str(folder / "cam_%04d.h5"), DATA_PATH, "hdf5", 2)


def shown(path):
    with h5py.File(path) as file:
        if file["d"].dtype.kind == "O":
            texts = [text.split("::") for text in file["d"].asstr()[()]]
            return [(name, int(index)) for name, index in texts]
        return file["d"][()].tolist()


def wanted(storage, stop):
    if storage == "uris":
        return [(f"cam_{n // 2:04d}.h5", n % 2) for n in range(stop)]
    return frames(0, stop).tolist()


STORAGES = ["virtual", "uris", "copy"]


@pytest.mark.parametrize("storage", STORAGES)
def test_a_stack_shows_the_frames_of_the_other_files(file, folder, storage):
    assert merged(file, d=stack(images(folder), "i4", storage=storage)) == ()
    for stop in (1, 3, 6):
        assert file.extend("/d", stop) == stop
        assert file.missing_files("/d") == ()
        file.commit()
        assert file.length("/d") == stop
    assert read_elsewhere(file.path, "/value") == [DECOY]
    assert shown(file.path) == wanted(storage, 6)
    decoys_are_untouched(file.path)


@pytest.mark.parametrize("storage", STORAGES)
def test_a_file_is_missing_though_there_is_a_decoy(file, folder, storage):
    (folder / "cam_0001.h5").unlink()
    merged(file, d=stack(images(folder), "i4", storage=storage, fill=DECOY))
    file.extend("/d", 3)
    file.commit()
    assert file.missing_files("/d") == (str(folder / "cam_0001.h5"),)
    assert file.length("/d") == (2 if storage == "copy" else 3)


@pytest.mark.parametrize("storage", STORAGES)
def test_a_file_without_its_frames_is_missing_though_the_decoy_has_enough(file, folder, storage):
    with h5py.File(folder / "cam_0001.h5", "w") as short:
        short[DATA_PATH] = frames(2, 3)
    merged(file, d=stack(images(folder), "i4", storage=storage))
    file.extend("/d", 4)
    file.commit()
    assert file.missing_files("/d") == (str(folder / "cam_0001.h5"),)


_WRITE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from tests.hdf5.test_foreign_links import DECOYS, images, stack
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.model.tree import Group
path, storage = Path(sys.argv[1]), sys.argv[2]
file = NexusFile.open(str(path))
file.merge(DECOYS)
file.merge(Group({"d": stack(images(path.parent), "i4", storage=storage)}))
file.extend("/d", 3)
file.commit()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("storage", STORAGES)
def test_a_stack_is_gone_on_with_after_a_kill(folder, storage):
    path = str(folder / "file.h5")
    run_python(_WRITE_AND_DIE, path, storage, check=False)
    again = NexusFile.open(path)
    assert again.merge(Group({"d": stack(images(folder), "i4", storage=storage)})) == ()
    assert again.length("/d") == 3
    assert again.missing_files("/d") == ()
    assert again.extend("/d", 6) == 6
    again.close()
    assert shown(path) == wanted(storage, 6)
    decoys_are_untouched(path)
