"""``SCAN_SAVING.writer = "hdf5"``: the writer inside the process of BLISS, which is not here."""

from typing import Any, NoReturn


class ScanWriterWithState:
    """What BLISS makes for each scan of the writer ``hdf5``; takes any arguments.

    A writer inside BLISS dies with it, and keeps it from scanning while a disk stalls. So there is
    none here: a scan with this writer is refused with a message that names the others.
    """

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def initialize(self, *_: Any) -> NoReturn:
        """Refuse the scan.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(
            "nexus_writer_service has no writer inside the process of BLISS: select "
            "SCAN_SAVING.writer = 'nexus' (a Tango device, RegisterNexusWriter) or 'external' "
            "(a process, NexusSessionWriter)"
        )
