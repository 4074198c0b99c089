"""The changes to files of which a fault can choose one."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final, Literal, NoReturn, get_args

from nexus_writer_service.hdf5.disk import Bytes, Disk, Step

Moment = Step | Literal["truncate", "reserve", "chmod", "sync", "sync folder", "name", "unlink"]
"""A kind of change: what is written (see ``Step``), or another call of ``Disk``."""

MOMENTS: Final[tuple[Moment, ...]] = (
    *get_args(Step),
    "truncate",
    "reserve",
    "chmod",
    "sync",
    "sync folder",
    "name",
    "unlink",
)


class StruckDisk(Disk, ABC):
    """A disk on which some changes stop halfway."""

    @abstractmethod
    def meets(self, moment: Moment) -> float | None:
        """Say what becomes of the next change: None lets it happen.

        A number stops it: that share of a write is made (another change, only if it is 1),
        then ``strike`` is called.
        """

    @abstractmethod
    def strike(self) -> NoReturn:
        """End a change that was stopped."""

    def write(self, step: Step, descriptor: int, pieces: Sequence[Bytes], address: int) -> None:
        """Write, or a part of it."""
        share = self.meets(step)
        if share is None:
            super().write(step, descriptor, pieces, address)
            return
        data = b"".join(pieces)
        super().write(step, descriptor, [data[: round(len(data) * share)]], address)
        self.strike()

    def truncate(self, descriptor: int, size: int) -> None:
        """Give the file a size, or not."""
        self._change("truncate", lambda: super(StruckDisk, self).truncate(descriptor, size))

    def reserve(self, descriptor: int, size: int) -> None:
        """Reserve, or not."""
        self._change("reserve", lambda: super(StruckDisk, self).reserve(descriptor, size))

    def chmod(self, descriptor: int, mode: int) -> None:
        """Give the file permission bits, or not."""
        self._change("chmod", lambda: super(StruckDisk, self).chmod(descriptor, mode))

    def sync(self, descriptor: int) -> None:
        """Synchronize, or not."""
        self._change("sync", lambda: super(StruckDisk, self).sync(descriptor))

    def sync_folder(self, path: str) -> None:
        """Synchronize the folder, or not."""
        self._change("sync folder", lambda: super(StruckDisk, self).sync_folder(path))

    def name(self, descriptor: int, folder: int, name: str) -> None:
        """Name a file, or not."""
        self._change("name", lambda: super(StruckDisk, self).name(descriptor, folder, name))

    def unlink(self, path: str) -> None:
        """Unlink, or not."""
        self._change("unlink", lambda: super(StruckDisk, self).unlink(path))

    def _change(self, moment: Moment, make: Callable[[], None]) -> None:
        share = self.meets(moment)
        if share is None or share >= 1:
            make()
        if share is not None:
            self.strike()
