"""A journal that is not what its writer left: cut short, or with a bit flipped."""

import os

from nexus_writer_service.hdf5.journal import START, journal_path
from nexus_writer_service.hdf5.record import decode, encode


def journal_size(path: str) -> int:
    """Bytes of the journal beside the file at ``path`` up to the end of its records.

    What is reserved beyond them is not counted; 0 when there is no journal.
    """
    try:
        with open(journal_path(path), "rb") as journal:
            journal.seek(START)
            records = decode(journal.read())
    except FileNotFoundError:
        return 0
    return START + sum(len(piece) for record in records for piece in encode(record))


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
