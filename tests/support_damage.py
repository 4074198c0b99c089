"""Files that are damaged where only reading tells."""

from typing import Any

import h5py


def damage_chunk(path: Any, dataset: str) -> None:
    """Overwrite bytes in the last chunk of a compressed dataset."""
    with h5py.File(path) as file:
        chunks = file[dataset].id
        chunk = chunks.get_chunk_info(chunks.get_num_chunks() - 1)
    with open(path, "r+b") as raw:
        raw.seek(chunk.byte_offset + chunk.size // 2)
        raw.write(b"\xff\x00\xff\x00\xff")


def add_damaged_dataset(path: Any, name: str) -> None:
    """Add a compressed dataset that cannot be read."""
    with h5py.File(path, "a") as file:
        file.create_dataset(name, data=[1.0] * 100, chunks=(100,), compression="gzip")
    damage_chunk(path, name)
