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
    reader_patience: float = READER_PATIENCE
    """Seconds for which readers that stay in the file can keep a commit from showing."""
    protect: bool = True
    """Take the permission to write off the file while it is open, and give it back: programs that
    would truncate it, or that ignore locks, are refused (those of root are not)."""
    locks: bool = True
    """Lock the file; off for file systems where locks fail or hang. The one-writer claim then rests
    on whoever starts writers."""
    leases: bool = True
    """Keep readers out for the moment in which a commit shows; off for file systems where leases
    misbehave. Where the system has none, it is as if off."""
