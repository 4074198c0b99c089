"""A journal that is not what its writer left: cut short, or with a bit flipped."""

import os

from nexus_writer_service.hdf5.journal import journal_path


def journal_size(path: str) -> int:
    """Bytes in the journal beside the file at ``path``, 0 when there is none."""
    journal = journal_path(path)
    return os.path.getsize(journal) if os.path.exists(journal) else 0


def tear(path: str, size: int) -> None:
    """Leave only the first ``size`` bytes of the journal beside the file at ``path``."""
    os.truncate(journal_path(path), size)


def flip_bit(path: str, bit: int) -> None:
    """Flip one bit, counted from 0, of the journal beside the file at ``path``."""
    with open(journal_path(path), "r+b") as journal:
        journal.seek(bit // 8)
        byte = journal.read(1)[0]
        journal.seek(bit // 8)
        journal.write(bytes([byte ^ 1 << bit % 8]))
