"""A Tango database for tests and demonstrations: PyDatabaseds on a free port of this machine.

    with TangoDatabase() as database:
        subprocess.run([...], env=os.environ | {"TANGO_HOST": database.host})

What it holds lives in a private folder and is gone at the end; the server ends with the process
that made it, however that ends.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from nexus_writer_service.errors import SourceUnavailableError

_PROGRAM = "from databaseds.database import main; main()"
"""What ``PyDatabaseds`` runs; the command itself need not be on the PATH."""

_SUPERVISED = """
"$@" >&2 &
server=$!
read -r wish
kill -s "${wish:-KILL}" $server
wait
[ -n "$wish" ] || rm -rf "$0"
"""
"""Runs a server until told a signal, or until the pipe that tells it closes: with its parent."""

_ATTEMPTS = 5
_START_SECONDS = 30.0
_END_SECONDS = 20.0


class TangoDatabase:
    """A Tango database that runs inside a ``with`` block.

    Raises on entering:
        SourceUnavailableError: the server does not start; the message has its last words.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._port = 0
        self._supervisor: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """Where it listens, ``127.0.0.1:PORT``: the value for TANGO_HOST."""
        return f"127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="tango-"))
        try:
            for _ in range(_ATTEMPTS):  # a free port may be taken before the server has it
                self._port = _free_port()
                self._spawn()
                if self._wait_until_ready():
                    return self
                self.stop()
            raise SourceUnavailableError(f"PyDatabaseds does not start: {self._last_words()}")
        except BaseException:
            self._close()
            raise

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def start(self) -> None:
        """Start it again after ``stop``, at the same port and with what it held, unless it runs.

        Raises:
            SourceUnavailableError: it does not start.
        """
        if self._supervisor is not None:
            return
        self._spawn()
        if not self._wait_until_ready():
            raise SourceUnavailableError(f"PyDatabaseds does not start: {self._last_words()}")

    def stop(self) -> None:
        """End the server; what it holds is kept until the end of the ``with`` block."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None:
            return
        if supervisor.stdin is not None:
            with suppress(BrokenPipeError), supervisor.stdin:
                # Every change has been committed: there is nothing to end in order.
                supervisor.stdin.write(b"KILL\n")
        supervisor.wait(_END_SECONDS)

    def _close(self) -> None:
        self.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = None

    def _spawn(self) -> None:
        assert self._folder is not None, "use `with`"  # noqa: S101 - a mistake in a test
        server = [sys.executable, "-c", _PROGRAM, "--host", "127.0.0.1", "--port", str(self._port)]
        with (self._folder / "console").open("wb") as console:
            self._supervisor = subprocess.Popen(
                ["/bin/sh", "-c", _SUPERVISED, self._folder, *server, "2"],
                stdin=subprocess.PIPE,
                stdout=console,
                stderr=console,
                env=os.environ | {"PYTANGO_DATABASE_NAME": str(self._folder / "tango.sqlite")},
                # Ctrl-C is for the program that uses the server, not for the server.
                start_new_session=True,
            )

    def _wait_until_ready(self) -> bool:
        """Whether this server, and not another one on its port, accepts requests."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            told = self._last_words()
            if "Ready to accept request" in told:
                return True
            if "Error" in told:
                return False
            time.sleep(0.01)
        return False

    def _last_words(self) -> str:
        if self._folder is None:
            return "it is not running"
        lines = (self._folder / "console").read_text(errors="replace").splitlines()
        return " | ".join(lines[-3:]) or "it says nothing"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
