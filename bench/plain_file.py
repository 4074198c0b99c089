"""The calls of ``NexusFile`` that the scans of the tests need, as people write with h5py."""

from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np
from tests.support_crash import frame

from nexus_writer_service.model.tree import (
    Dataset,
    ExternalLink,
    Group,
    ImageStack,
    Node,
    SoftLink,
    StreamDataset,
    VirtualDataset,
)

_TEXT = h5py.string_dtype()


class PlainFile:
    """A new HDF5 file, written with ``resize`` and slices and flushed now and then.

    An image stack is an empty dataset that grows, so that nothing is made anew.

    Args:
        path: of the file.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = h5py.File(path, "w", locking=False)
        self._lengths: dict[str, int] = {}
        # Kept open: HDF5 would write the chunks of a dataset whenever it is let go.
        self._growing: dict[str, h5py.Dataset] = {}

    def merge(self, tree: Group) -> tuple[str, ...]:
        """Write a tree."""
        self._merge(self._file, tree)
        return ()

    def _merge(self, here: h5py.Group, tree: Group) -> None:
        here.attrs.update(tree.attributes)
        for name, node in tree.children.items():
            if isinstance(node, Group):
                self._merge(here.require_group(name), node)
            elif name not in here or not isinstance(node, StreamDataset | ImageStack):
                self._put(here, name, node)

    def _put(self, here: h5py.Group, name: str, node: Node) -> None:
        match node:
            case SoftLink(target):
                self._set(here, name, h5py.SoftLink(target))
            case ExternalLink(file, target):
                self._set(here, name, h5py.ExternalLink(file, target))
            case Dataset(value, attributes):
                array = np.asarray(value, dtype=_TEXT if isinstance(value, str | list) else None)
                if name in here and here[name].shape == array.shape:
                    here[name][()] = array
                else:
                    self._set(here, name, array)
                here[name].attrs.update(attributes)
            case StreamDataset():
                self._create(here, name, node)
            case ImageStack(storage=storage, dtype=dtype, sample=sample):
                shape, kind = ((), _TEXT) if storage == "uris" else (sample, dtype)
                self._keep(
                    here.create_dataset(
                        name, (0, *shape), kind, maxshape=(None, *shape), chunks=True
                    )
                )
            case VirtualDataset(dtype, shape, sources):
                layout = h5py.VirtualLayout(shape, dtype)
                layout[...] = h5py.VirtualSource(".", sources[0].path, shape)
                here.create_virtual_dataset(name, layout)

    def _set(self, here: h5py.Group, name: str, value: Any) -> None:
        if name in here:
            del here[name]
        here[name] = value

    def _create(self, here: h5py.Group, name: str, node: StreamDataset) -> None:
        first = (0,) if len(node.scan) == 1 else node.scan
        shape = (*first, *(max(0, length) for length in node.sample))
        made = here.create_dataset(
            name,
            shape,
            _TEXT if node.dtype.kind == "O" else node.dtype,
            maxshape=(None,) * len(shape),
            chunks=node.chunks or True,
            compression=node.filters.gzip,
            compression_opts=None,
            shuffle=node.filters.shuffle,
            fillvalue=node.fill,
        )
        self._keep(made)

    def _keep(self, dataset: h5py.Dataset) -> None:
        self._lengths[dataset.name] = 0
        self._growing[dataset.name] = dataset

    def append(self, path: str, start: int, batches: Sequence[np.ndarray[Any, Any]]) -> None:
        """Write points."""
        dataset = self._growing[path]
        for batch in batches:
            stop = start + len(batch)
            if dataset.ndim == 2 and batch.ndim == 1:  # a grid
                row = dataset.shape[1]
                dataset.resize(max(len(dataset), -(-stop // row)), axis=0)
                for index, value in enumerate(batch, start):
                    dataset[index // row, index % row] = value
            else:
                sample = map(max, dataset.shape[1:], batch.shape[1:])
                dataset.resize((stop, *sample))
                dataset[(slice(start, stop), *map(slice, batch.shape[1:]))] = batch
            start = stop
        self._lengths[path] = start

    def extend(self, path: str, frames: int) -> int:
        """Let an image stack grow."""
        dataset = self._growing[path]
        start = self._lengths[path]
        dataset.resize(frames, axis=0)
        if dataset.ndim == 1:
            scan = int(path.split("/")[1].partition(".")[0])
            dataset[start:frames] = [frame(scan, number) for number in range(start, frames)]
        self._lengths[path] = frames
        return frames

    def length(self, path: str) -> int:
        """Points or frames."""
        return self._lengths[path]

    def settle(self, path: str) -> None:
        """Let go of the datasets below a path."""
        for one in [one for one in self._growing if one.startswith(f"{path}/")]:
            del self._growing[one]

    def read_text(self, path: str) -> None:
        """Nothing: the file is new."""

    def commit(self) -> None:
        """Flush."""
        self._file.flush()

    def poll(self) -> None:
        """Do nothing: there is nothing to wait for."""

    def close(self) -> None:
        """Close."""
        self._file.close()
