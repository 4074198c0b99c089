"""How much memory the ends of compressed datasets may take, all together."""

from typing import Final

MOST_HELD: Final = 48 << 20
"""Bytes: those of 1500 scalars, or of 48 spectra of 4096 channels."""


class HeldBytes:
    """Counts the memory of those that share it.

    Args:
        most: bytes above which the end of a dataset is not kept from one commit to the next, but
            read again when the dataset goes on.
    """

    def __init__(self, most: int = MOST_HELD) -> None:
        self.most = most
        self.nbytes = 0
