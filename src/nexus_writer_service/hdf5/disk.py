"""What a crash-safe file asks of the operating system: the seam where tests let a process die."""

import os
from collections.abc import Sequence
from typing import Final, Literal

Bytes = bytes | memoryview

MOST_PIECES: Final = 1000
"""Pieces that the system takes in one call: IOV_MAX is 1024 on Linux."""

Step = Literal["new", "data", "journal", "apply", "clear", "preamble"]
"""What is written: a new file, new bytes at its end, a record, its bytes in place, its end, what a
journal says of its file."""


class Disk:
    """Changes to files, by their descriptors. Each may raise OSError."""

    def write(self, step: Step, descriptor: int, pieces: Sequence[Bytes], address: int) -> None:
        """Write pieces one behind the other from ``address`` on.

        Args:
            step: what for.
            descriptor: of the file.
            pieces: ``MOST_PIECES`` at most.
            address: of the first byte.
        """
        written = self.write_some(descriptor, pieces, address)
        if written < sum(map(len, pieces)):  # a signal came, or the disk became full
            rest = memoryview(b"".join(pieces))[written:]
            address += written
            while rest:
                count = self.write_some(descriptor, [rest], address)
                rest, address = rest[count:], address + count

    def write_some(self, descriptor: int, pieces: Sequence[Bytes], address: int) -> int:
        """As ``write``, but only what the system takes in one call; returns how many bytes."""
        return os.pwritev(descriptor, pieces, address)

    def truncate(self, descriptor: int, size: int) -> None:
        """Give the file a size."""
        os.ftruncate(descriptor, size)

    def reserve(self, descriptor: int, size: int) -> None:
        """Let the file have its first ``size`` bytes on the disk."""
        os.posix_fallocate(descriptor, 0, size)

    def chmod(self, descriptor: int, mode: int) -> None:
        """Give the file permission bits."""
        os.fchmod(descriptor, mode)

    def sync(self, descriptor: int) -> None:
        """Wait until what was written outlasts a loss of power."""
        os.fdatasync(descriptor)

    def sync_folder(self, path: str) -> None:
        """Wait until the names beside ``path`` outlast a loss of power."""
        folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def name(self, descriptor: int, folder: int, name: str) -> None:
        """Give a name in a folder to a file that has none; FileExistsError if it is taken."""
        os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=folder, follow_symlinks=True)

    def unlink(self, path: str) -> None:
        """Remove a file."""
        os.unlink(path)
