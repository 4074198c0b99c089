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

BLISSWRITER_VARIABLE = "BENCH_BLISSWRITER"

_START_DEADLINE = 60.0
_END_DEADLINE = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Writer:
    """How to run a writer, and what its files look like."""

    name: str
    version: str
    command: Callable[[str, Path], list[str]]
    """From the URL of Redis and a folder for its own files."""
    last_written: str
    """The item of an NXentry that tells that the entry has been finished."""
    final_values: tuple[str, ...] = ()
    """Values of it that tell so; none: it only has to be there."""
    success: str | None = None
    """The value of it that the writer gives a scan without losses."""
    locks_readers_out: bool = False
    """Whether plain readers are refused while it writes, so that locking has to be off for them."""


def our_writer() -> Writer:
    """The writer of this project, from the environment that runs the benchmark."""
    program = Path(sys.executable).with_name("NexusSessionWriter")

    def command(url: str, folder: Path) -> list[str]:
        options = ["--data_writer", "any", "--redis_url", url, "--nohistory"]
        return [str(program), SESSION, *options, "--start_semaphore_file", str(folder / "on")]

    return Writer(
        name="ours",
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
        name="blisswriter",
        version=_version_of("blisswriter", program),
        command=lambda url, _folder: [str(program), "run", url],
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
        url: database to listen to, with no other writer on it.
        folder: for its log.
    """

    def __init__(self, writer: Writer, url: str, folder: Path) -> None:
        self._writer = writer
        self._url = url
        self._folder = folder
        self.log = folder / "writer.log"
        self.peak_megabytes = 0.0
        """Largest resident memory; known after the block."""

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._writer.command(self._url, self._folder),
                stdin=subprocess.DEVNULL,
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
            self.peak_megabytes = self._peak_megabytes()
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
        """User and system time of all its threads until now, in steps of the kernel's tick.

        Raises:
            WriterError: it has ended.
        """
        self.check()
        text = Path(f"/proc/{self._process.pid}/stat").read_text()
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

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
            while not client.info("clients")["blocked_clients"]:
                self.check()
                if time.monotonic() > deadline:
                    raise WriterError(
                        f"{self._writer.name} does not listen after {_START_DEADLINE:g} s"
                    )
                time.sleep(0.05)

    def _peak_megabytes(self) -> float:
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        (kibibytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
        return int(kibibytes) * 1024 / 1e6
