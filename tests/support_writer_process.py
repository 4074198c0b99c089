"""The command ``NexusSessionWriter`` as a process of its own, that tests start, kill and stop."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support_waiting import wait_for

PROGRAM = Path(sys.executable).with_name("NexusSessionWriter")


class WriterProcess:
    """A writer of the session ``test_session`` that listens.

    Args:
        url: of the Redis database of scans.
        folder: where it keeps its history, its log and its semaphore; shared by those who follow on
            one another.
        options: more of the command.
    """

    def __init__(self, url: str, folder: Path, *options: str) -> None:
        self.folder = folder
        self._semaphore = folder / "listening"
        self._semaphore.unlink(missing_ok=True)
        self._output = folder / "output.log"
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    PROGRAM,
                    "test_session",
                    f"--start_semaphore_file={self._semaphore}",
                    "--required_disk_space=0",
                    "--recommended_disk_space=0",
                    "--log=info",
                    "--grace=0.1",
                    *options,
                ],
                env={**os.environ, "REDIS_DATA_URL": url, "XDG_STATE_HOME": str(folder)},
                stdout=output,
                stderr=output,
            )
        wait_for(lambda: self._semaphore.exists() or not self.alive, what="listening")
        assert self.alive, self.output

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def output(self) -> str:
        """What writers with this folder have said until now."""
        return self._output.read_text()

    def kill(self) -> None:
        """End it without any chance to tidy up."""
        self._process.kill()
        self._process.wait(20)

    def stop(self) -> None:
        """End it in order."""
        if self.alive:
            self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(20) == 0, self.output


@contextmanager
def writing(url: str, folder: Path, *options: str) -> Iterator[WriterProcess]:
    """A writer until the end of the ``with`` block, unless it ends before."""
    folder.mkdir(exist_ok=True)
    process = WriterProcess(url, folder, *options)
    try:
        yield process
    finally:
        if process.alive:
            process.stop()
