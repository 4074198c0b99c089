"""Random lives of a file against a model in memory: what was appended is what is read."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tests.support_hdf5 import root, stream

from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.model.tree import Filters, Group, StreamDataset

NODES: dict[str, StreamDataset] = {
    "scalar": stream(chunks=(4,), fill=np.nan),
    "packed": stream("i4", (2,), chunks=(3, 2), filters=Filters(shuffle=True, gzip=1)),
    "bits": stream("u2", (8,), chunks=(8, 8), filters=Filters(bitshuffle=True)),
    "text": stream("U", chunks=(2,)),
    "ragged": stream("i4", (-1, 2), chunks=(2, 1, 2), fill=-1),
    "grid": stream("i4", scan=(2, 3), chunks=(1, 2), fill=-1),
    "cube": stream("f4", (2,), scan=(2, 2, 2), chunks=(1, 1, 2, 1), fill=np.nan),
    "ragged_grid": stream("i2", (-1,), scan=(2, 2), chunks=(1, 1, 2)),
}
NAMES = st.sampled_from(sorted(NODES))


def sample_of(name: str, index: int, size: int) -> np.ndarray:
    """The sample that every append of this index brings; never the fill value."""
    node = NODES[name]
    if name == "text":
        return np.array(f"point {index} é", dtype=object)
    if len(node.scan) > 1:
        size = max(size, 1)  # an empty sample in a grid looks like none
    shape = tuple(size if axis < 0 else axis for axis in node.sample)
    values = index + 1 + 1000 * np.arange(np.prod(shape, dtype=int))
    return values.reshape(shape).astype(node.dtype)


class LifeOfAFile(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = str(self.folder / "file.h5")
        self.points: dict[str, dict[int, np.ndarray]] = {name: {} for name in NODES}
        self.lengths = dict.fromkeys(NODES, 0)

    @initialize()
    def begin(self) -> None:
        self.file = NexusFile.open(self.path)
        self.merge()

    @rule()
    def merge(self) -> None:
        assert self.file.merge(Group({"g": root(**NODES)})) == ()

    @rule(
        name=NAMES,
        back=st.integers(0, 4),
        gap=st.sampled_from([0, 0, 0, 1, 7]),
        sizes=st.lists(st.integers(0, 3), max_size=9),
        cut=st.integers(0, 9),
    )
    def append(self, name: str, back: int, gap: int, sizes: list[int], cut: int) -> None:
        start = max(0, self.lengths[name] + gap - back)
        samples = [sample_of(name, start + i, size) for i, size in enumerate(sizes)]
        self.file.append(f"/g/{name}", start, batches(samples, cut))
        for index, sample in enumerate(samples, start):
            if index >= self.lengths[name]:
                self.points[name][index] = sample
        if samples:
            self.lengths[name] = max(self.lengths[name], start + len(samples))
        assert self.file.length(f"/g/{name}") == self.lengths[name]

    @rule()
    def commit(self) -> None:
        self.file.commit()
        assert not self.file.dirty
        assert self.file.buffered_bytes == 0

    @rule()
    def open_again(self) -> None:
        self.file.close()
        self.file = NexusFile.open(self.path)
        self.merge()
        for name, length in self.lengths.items():
            assert self.file.length(f"/g/{name}") == length

    @precondition(lambda self: any(self.lengths.values()))
    @rule()
    def read(self) -> None:
        self.file.commit()
        with h5py.File(self.path, "r", locking=False) as reader:
            for name in NODES:
                self.compare(name, reader["g"][name])

    def compare(self, name: str, dataset: h5py.Dataset) -> None:
        node, length = NODES[name], self.lengths[name]
        found = dataset.asstr()[...] if name == "text" else dataset[...]
        axes = len(node.scan)
        row = int(np.prod(node.scan[1:]))
        slow = -(-length // row) if axes == 1 else max(node.scan[0], -(-length // row))
        assert found.shape[:axes] == (slow, *node.scan[1:])
        longest = np.max([s.shape for s in self.points[name].values()] or [()], axis=0, initial=0)
        expected_sample = tuple(
            int(longest[axis]) if size < 0 and self.points[name] else max(size, 0)
            for axis, size in enumerate(node.sample)
        )
        assert found.shape[axes:] == expected_sample
        flat = found.reshape(slow * row, *found.shape[axes:])
        expected = np.full(flat.shape, "" if name == "text" else dataset.fillvalue, found.dtype)
        for index, sample in self.points[name].items():
            block: Any = (index, *map(slice, sample.shape))
            expected[block] = sample
        np.testing.assert_array_equal(flat, expected)

    def teardown(self) -> None:
        try:
            self.file.close()
            with h5py.File(self.path, "r") as reader:
                for name in NODES:
                    self.compare(name, reader["g"][name])
        finally:
            shutil.rmtree(self.folder)


def batches(samples: list[np.ndarray], cut: int) -> list[np.ndarray]:
    """Arrays of (points, *sample): neighbours of one shape together, but cut at ``cut``."""
    found: list[list[np.ndarray]] = []
    for index, sample in enumerate(samples):
        if found and found[-1][0].shape == sample.shape and index != cut:
            found[-1].append(sample)
        else:
            found.append([sample])
    return [np.stack(group) for group in found]


LifeOfAFile.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestLifeOfAFile = pytest.mark.nonconforming("no tmp_path")(LifeOfAFile.TestCase)


@pytest.mark.nonconforming("trees that try the file, not NeXus")
def test_trailing_points_that_equal_the_fill_are_taken_again_after_reopening_a_grid(tmp_path):
    path = str(tmp_path / "file.h5")
    node = stream("i4", scan=(2, 3), chunks=(1, 3))
    points = np.array([1, 0, 2, 0], "i4")
    for length in (0, 3):
        file = NexusFile.open(path)
        file.merge(root(d=node))
        assert file.length("/d") == length
        file.append("/d", length, [points[length:]])
        file.close()
    with h5py.File(path) as reader:
        assert reader["d"][...].ravel().tolist() == [1, 0, 2, 0, 0, 0]


@pytest.mark.nonconforming("trees that try the file, not NeXus")
@pytest.mark.parametrize("sample", [(0,), (-1,)])
def test_a_grid_of_empty_samples_can_be_opened_again(tmp_path, sample):
    path = str(tmp_path / "file.h5")
    for _ in range(2):
        file = NexusFile.open(path)
        assert file.merge(root(d=stream("i4", sample, scan=(2, 3)))) == ()
        file.append("/d", 0, [np.zeros((2, 0), "i4")])
        file.close()
