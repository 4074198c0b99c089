"""The writers that are compared, as processes of their own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import redis
from bench.workloads import SESSION

from nexus_writer_service.errors import SettingsError, WriterError

OURS, POWER, REFERENCE, FLOOR = "ours", "power", "blisswriter", "floor"
"""Names of the subjects; ``power``: ours, with commits that outlast a loss of power."""

BLISSWRITER_VARIABLE = "BENCH_BLISSWRITER"

# An installed writer is not compiled anew at each start.
_ENVIRONMENT = {
    name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
}
_START_DEADLINE = 60.0
_END_DEADLINE = 30.0


@dataclass(frozen=True, slots=True)
class Writer:
    """How to run a writer, and what its files look like."""

    name: str
    version: str
    command: Callable[[str, Path, str], list[str]]
    """From the URL of Redis, a folder for its own files, and the session."""
    last_written: str
    """The item of an NXentry that tells that the entry has been finished."""
    final_values: tuple[str, ...] = ()
    """Values of it that tell so; none: it only has to be there."""
    success: str | None = None
    """The value of it that the writer gives a scan without losses."""
    locks_readers_out: bool = False
    """Whether plain readers are refused while it writes, so that locking has to be off for them."""


def our_writer(name: str = OURS, durability: str = "process") -> Writer:
    """The writer of this project, from the environment that runs the benchmark."""
    program = Path(sys.executable).with_name("NexusSessionWriter")

    def command(url: str, folder: Path, session: str) -> list[str]:
        options = ["--data_writer", "any", "--redis_url", url, "--durability", durability]
        options += ["--history", str(folder / "history.sqlite")]
        return [str(program), session, *options, "--start_semaphore_file", str(folder / "on")]

    return Writer(
        name=name,
        version=_version_of("nexus_writer_service", program),
        command=command,
        last_written="writer/status",
        final_values=("SUCCEEDED", "FAILED"),
        success="SUCCEEDED",
    )


def blisswriter() -> Writer | None:
    """The reference writer: what BENCH_BLISSWRITER names, else that of ``make bench``, or None.

    Raises:
        SettingsError: the variable names a program that does not exist.
    """
    given = os.environ.get(BLISSWRITER_VARIABLE)
    program = Path(given or Path(__file__).parent.parent / ".bench-venv/bin/blisswriter")
    if not program.exists():
        if given:
            raise SettingsError(f"{BLISSWRITER_VARIABLE} names {given}, which does not exist.")
        return None
    return Writer(
        name=REFERENCE,
        version=_version_of("blisswriter", program),
        command=lambda url, _folder, _session: [str(program), "run", url],
        last_written="end_time",
        locks_readers_out=True,
    )


def floor(*options: str) -> Writer:
    """The probe of `bench.floor_writer`."""
    program = [sys.executable, "-m", "bench.floor_writer"]
    return Writer(
        name=FLOOR,
        version="",
        command=lambda url, _folder, _session: [*program, url, *options],
        last_written="end_time",
        locks_readers_out=True,
    )


def server_version(url: str) -> str:
    """Name and version of the Redis server at ``url``."""
    with redis.Redis.from_url(url) as client:
        info = client.info("server")
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info['redis_version']}"


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, to the nanosecond."""
    # The clock of another process, as clock_getcpuclockid(3) makes it.
    return time.clock_gettime((~pid << 3) | 2)


def _status(pid: int, name: str) -> str:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return line.partition(":")[2].strip()
    raise WriterError(f"process {pid} has no {name}")


def _version_of(package: str, program: Path) -> str:
    question = f"from importlib.metadata import version; print(version({package!r}))"
    python = program.with_name("python")
    try:
        answer = subprocess.run([python, "-c", question], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return answer.stdout.decode().strip()


class WriterProcess:
    """A writer that listens inside a ``with`` block.

    Args:
        writer: which one.
        url: database to listen to, on which nobody waits but writers.
        folder: for its log.
        session: whose scans it saves, if it is of one session.
        listeners: how many clients of the server wait when it listens, with those before it.
    """

    def __init__(
        self, writer: Writer, url: str, folder: Path, *, session: str = SESSION, listeners: int = 1
    ) -> None:
        self._writer = writer
        self._url = url
        self._folder = folder
        self._session = session
        self._listeners = listeners
        self.log = folder / "writer.log"
        self.peak_megabytes = 0.0
        """Largest resident memory; known after the block."""

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._writer.command(self._url, self._folder, self._session),
                stdin=subprocess.DEVNULL,
                env=_ENVIRONMENT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait_until_listening()
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A writer that has ended tells nothing.
        with suppress(OSError, ValueError):
            self.peak_megabytes = int(_status(self._process.pid, "VmHWM").split()[0]) * 1024 / 1e6
        # Both writers end in order at Ctrl-C.
        for number in (signal.SIGCONT, signal.SIGINT):
            self._process.send_signal(number)
        try:
            self._process.wait(_END_DEADLINE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def cpu_seconds(self) -> float:
        """User and system time of all its threads until now.

        Raises:
            WriterError: it has ended.
        """
        self.check()
        return cpu_seconds(self._process.pid)

    @property
    def threads(self) -> int:
        """How many threads it has now."""
        return int(_status(self._process.pid, "Threads"))

    @property
    def resident_megabytes(self) -> float:
        """Its resident memory now."""
        return int(_status(self._process.pid, "VmRSS").split()[0]) * 1024 / 1e6

    def suspend(self) -> None:
        """Stop it where it is (SIGSTOP); returns when it has stopped."""
        self._process.send_signal(signal.SIGSTOP)
        # An exit would end the wait too; it is left for `check` to find.
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def holds(self, path: Path) -> bool:
        """Whether it has this file open."""
        for descriptor in Path(f"/proc/{self._process.pid}/fd").iterdir():
            with suppress(OSError):
                if descriptor.readlink() == path:
                    return True
        return False

    def check(self) -> None:
        """Make sure that it runs.

        Raises:
            WriterError: it has ended.
        """
        if self._process.poll() is None:
            return
        words = self.log.read_text(errors="replace").splitlines()[-5:]
        raise WriterError(
            f"{self._writer.name} ended with status {self._process.returncode}: "
            f"{' | '.join(words) or 'it says nothing'}"
        )

    def _wait_until_listening(self) -> None:
        """A writer listens when it waits in a blocking read for what comes."""
        deadline = time.monotonic() + _START_DEADLINE
        with redis.Redis.from_url(self._url) as client:
            while client.info("clients")["blocked_clients"] < self._listeners:
                self.check()
                if time.monotonic() > deadline:
                    raise WriterError(
                        f"{self._writer.name} does not listen after {_START_DEADLINE:g} s"
                    )
                time.sleep(0.01)
