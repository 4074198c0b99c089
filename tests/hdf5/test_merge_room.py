"""What makes room in a file, and what shows parts of other files."""

import h5py
import numpy as np
import pytest

from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.model.tree import (
    Dataset,
    ExternalDataset,
    ExternalFile,
    Group,
    Hyperslab,
    Instead,
    SlabSource,
    StreamDataset,
    VirtualDataset,
)

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")


def write(path, *trees):
    file = NexusFile.open(str(path))
    problems = [problem for tree in trees for problem in file.merge(tree)]
    file.close()
    return problems


def test_what_is_taken_away_is_gone_with_all_that_is_in_it(tmp_path):
    path = tmp_path / "a.h5"
    full = Group({"x": Group({"y": Dataset(1)}), "z": Dataset(2)})
    assert write(path, full, Group({"x": Instead(), "nothing": Instead()})) == []
    with h5py.File(path) as file:
        assert list(file) == ["z"]


def test_a_group_gives_way_to_a_dataset_and_the_other_way_round(tmp_path):
    path = tmp_path / "a.h5"
    before = Group({"x": Group({"y": Dataset(1)}), "z": Dataset(2)})
    after = Group({"x": Instead(Dataset(3)), "z": Instead(Group({"w": Dataset(4)}))})
    assert write(path, before, after) == []
    with h5py.File(path) as file:
        assert (file["x"][()], file["z/w"][()]) == (3, 4)


def test_a_group_that_was_taken_away_can_be_made_anew_in_the_same_file(tmp_path):
    path = tmp_path / "a.h5"
    one = Group({"x": Group({"y": Dataset(1)}, {"NX_class": "NXcollection"})})
    other = Group({"x": Group({"z": Dataset(2)}, {"NX_class": "NXnote"})})
    assert write(path, one, one, Group({"x": Instead()}), other, other) == []
    with h5py.File(path) as file:
        assert list(file["x"]) == ["z"]


def test_points_for_a_stream_that_was_taken_away_are_refused(tmp_path):
    file = NexusFile.open(str(tmp_path / "a.h5"))
    node = StreamDataset("c", np.dtype("f8"), (), chunks=(4,))  # type: ignore[arg-type]  # a name
    file.merge(Group({"x": Group({"y": node})}))
    file.append("/x/y", 0, [np.ones(2)])
    file.merge(Group({"x": Instead()}))
    with pytest.raises(ValueError, match="is not a stream dataset"):
        file.append("/x/y", 2, [np.ones(2)])
    file.close()
    with h5py.File(tmp_path / "a.h5") as found:
        assert list(found) == []


def test_attributes_can_be_dropped(tmp_path):
    path = tmp_path / "a.h5"
    before = Group({"x": Group({}, {"a": 1, "b": 2})})
    after = Group({"x": Group(dropped=frozenset(("a", "never there")))})
    assert write(path, before, after) == []
    with h5py.File(path) as file:
        assert dict(file["x"].attrs) == {"b": 2}


def test_hyperslabs_of_another_dataset_are_put_into_hyperslabs(tmp_path):
    path = tmp_path / "a.h5"
    taken = Hyperslab((1, 0), (2, 2), (3, 2), (2, 1))
    into = Hyperslab((0, 1), (4, 2), (2, 2))
    node = VirtualDataset(np.dtype("f8"), (8, 4), (SlabSource(".", "/x", into, taken),), -1.0)
    values = np.arange(24.0).reshape(6, 4)
    assert write(path, Group({"x": Dataset(values), "v": node})) == []
    with h5py.File(path) as file:
        found = file["v"][()]
    assert found[::2, 1::2].tolist() == values[[1, 2, 4, 5]][:, ::2].tolist()
    assert (found[1::2] == -1).all()


def test_values_in_plain_files_are_shown_and_those_files_not_touched(tmp_path):
    raw = tmp_path / "raw.bin"
    raw.write_bytes(np.arange(6, dtype="<i2").tobytes())
    files = (ExternalFile(str(raw), 2, 4), ExternalFile(str(raw), 8))
    node = ExternalDataset(np.dtype("<i2"), (4,), files, {"units": "m"})
    assert write(tmp_path / "a.h5", Group({"x": node})) == []
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["x"][()].tolist() == [1, 2, 4, 5]
        assert file["x"].attrs["units"] == "m"
    assert raw.read_bytes() == np.arange(6, dtype="<i2").tobytes()


def test_plain_files_that_are_too_small_for_the_shape_cost_that_dataset(tmp_path):
    node = ExternalDataset(np.dtype("<i2"), (4,), (ExternalFile("/raw.bin", 0, 2),))
    (problem,) = write(tmp_path / "a.h5", Group({"x": node, "y": Dataset(1)}))
    assert "/x was not written" in problem
    with h5py.File(tmp_path / "a.h5") as file:
        assert list(file) == ["y"]
