"""How a file is to be kept safe while it is written."""

from dataclasses import dataclass
from typing import Final, Literal

Durability = Literal["process", "power"]
"""What commits outlast: the death of the process, or also a loss of power (slower)."""

READER_PATIENCE: Final = 2.0


@dataclass(frozen=True, slots=True)
class FileOptions:
    """How a file is to be kept safe while it is written."""

    durability: Durability = "process"
    """On NFS choose ``power``: what the server refuses, for lack of room or rights, shows there
    only when it is synchronized. Not tried."""
    reader_patience: float = READER_PATIENCE
    """Seconds for which readers that stay in the file can keep a commit from showing, and the
    closing of the file from ending."""
    protect: bool = True
    """Take the permission to write off the file while it is open, and give it back: programs that
    would truncate it, or that ignore locks, are refused (those of root are not). Only a file of
    our own user; where the system does not do it, all goes on without. Switch it off where a server
    asks for the permission at each write, as some NFS servers may."""
    locks: bool = True
    """Lock the file; off for file systems where locks fail or hang. The one-writer claim then rests
    on whoever starts writers. NFS makes locks of byte ranges on the server out of them, which hold
    among its clients; with its mount option ``local_lock`` they hold on one host. Not tried."""
    leases: bool = True
    """Keep readers out for the moment in which a commit shows; off for file systems where leases
    misbehave. Where the system has none (NFS, files of other users), it is as if off: readers can
    meet a commit while it is written. A lease never concerns readers on other hosts."""
