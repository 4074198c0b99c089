"""The device server with a clock that goes ahead as far as a file says."""

import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

from nexus_writer_service.cli.writer_service import main
from nexus_writer_service.tango.device import NexusWriter


class ShiftedClock:
    """The clock of this machine, ahead by the seconds in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def _ahead(self) -> float:
        return float(self._file.read_text())

    def now(self) -> datetime:
        return datetime.now().astimezone() + timedelta(seconds=self._ahead())

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead()


if __name__ == "__main__":
    NexusWriter.clock = ShiftedClock(Path(sys.argv.pop(1)))
    main()
