"""Everything that can happen to a file while it is written, on demand.

Each is a ``Disk`` to give to ``NexusFile.open``, or to ``JournaledFile`` and ``recover``:

- ``DeadlyDisk``: the process dies (SIGKILL) at a chosen step, in the middle of it too.
- ``FailingDisk``: the disk refuses, for as long as told; what is written half stays half written.
- ``ShortDisk``: the system takes only a few bytes at a time.
- ``StallingDisk``: a change does not return until it is released.
- ``RecordingDisk``: keeps every change, so that ``power_loss`` can tell what is left of the files
  when the power goes at any moment.

``tear`` and ``flip_bit`` damage the journal that a dead writer left.
"""

from nexus_writer_service.testing.faults.changes import RecordingDisk
from nexus_writer_service.testing.faults.damage import flip_bit, journal_size, tear
from nexus_writer_service.testing.faults.deadly import DeadlyDisk
from nexus_writer_service.testing.faults.moments import MOMENTS, Moment
from nexus_writer_service.testing.faults.power import Image, power_loss
from nexus_writer_service.testing.faults.trouble import FailingDisk, ShortDisk, StallingDisk

__all__ = [
    "MOMENTS",
    "DeadlyDisk",
    "FailingDisk",
    "Image",
    "Moment",
    "RecordingDisk",
    "ShortDisk",
    "StallingDisk",
    "flip_bit",
    "journal_size",
    "power_loss",
    "tear",
]
