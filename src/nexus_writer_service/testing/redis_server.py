"""A Redis server for tests: started, initialised, restarted, killed and gone without a trace.

    with RedisServer() as server:
        initialise(server.url)
        ...

It listens on a socket in a private folder (or on a loopback port), keeps nothing on disk unless
asked to, and ends with the process that made it, however that ends. Where no server program is at
hand, ``NEXUS_WRITER_TEST_REDIS`` names one that runs; it is used as it is.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Annotated, Self
from urllib.parse import parse_qs, urlsplit

import redis
import typer

from nexus_writer_service.errors import SettingsError, SourceUnavailableError
from nexus_writer_service.testing.redis_programs import (
    WHAT_TO_TYPE,
    ServerProgram,
    find_programs,
    loadable,
)

URL_VARIABLE = "NEXUS_WRITER_TEST_REDIS"
NEEDED_MODULES = frozenset({"ReJSON", "search"})

_MARK = "nexus_writer_service:test_database"
"""Key that tells our databases from those whose content somebody may miss."""

_SUPERVISED = """
"$@" >&2 &
server=$!
echo $server
read -r wish
kill -s "${wish:-KILL}" $server
wait
[ -n "$wish" ] || rm -rf "$0"
"""
"""Runs a server until told a signal, or until the pipe that tells it closes: with its parent. Then
nobody is left to remove the folder, which is the first argument.

The death signal of Linux would follow the *thread* that started the server, which is not what a
test that restarts it from a thread expects.
"""

_LONGEST_SOCKET_PATH = 100
_ATTEMPTS = 5


def pinned_url(url: str) -> str:
    """The URL with the protocol of answers set to RESP2, unless it sets one.

    redis-py 8 speaks RESP3 by default, whose answers blissdata does not understand.
    """
    query = urlsplit(url).query
    if "protocol" in parse_qs(query):
        return url
    return f"{url}{'&' if query else '?'}protocol=2"


def missing_modules(url: str) -> frozenset[str]:
    """Names of the modules that blissdata needs and the server at ``url`` lacks.

    Raises:
        SourceUnavailableError: nobody answers there.
    """
    with redis.Redis.from_url(pinned_url(url)) as client:
        try:
            loaded = client.module_list()  # type: ignore[no-untyped-call]
        except redis.ConnectionError as error:
            message = f"No Redis answers at {url} ({error}). Start it, or unset {URL_VARIABLE}."
            raise SourceUnavailableError(message) from error
    return NEEDED_MODULES - {module[b"name"].decode() for module in loaded}


def initialise(url: str) -> None:
    """Set an empty database up for scans, by blissdata.

    Raises:
        SettingsError: the database holds something.
    """
    # Importing blissdata takes half a second that `--check` need not pay.
    from blissdata import DataStore  # noqa: PLC0415

    with redis.Redis.from_url(pinned_url(url)) as client:
        keys = client.dbsize()
        if keys:
            raise SettingsError(f"{url} holds {keys} keys: only an empty database is set up.")
        with warnings.catch_warnings():
            # blissdata sets up servers before version 8 in the only way that they understand.
            warnings.filterwarnings("ignore", "Call to deprecated config_set", DeprecationWarning)
            DataStore(pinned_url(url), init_db=True)  # type: ignore[no-untyped-call]
        client.set(_MARK, 1)


def reset(url: str) -> None:
    """Empty a database that ``initialise`` has set up, and set it up again.

    Raises:
        SettingsError: the database holds something and was not made by ``initialise``.
    """
    with redis.Redis.from_url(pinned_url(url)) as client:
        if client.dbsize() and not client.exists(_MARK):
            raise SettingsError(
                f"{url} holds data that is not ours, so it is not emptied. Use a server that holds"
                f" nothing, or start one: unset {URL_VARIABLE}."
            )
        client.flushall()
    initialise(url)


class RedisServer:
    """A server with the modules that blissdata needs, running inside a ``with`` block.

    Methods may be called from any thread, by one at a time.
    """

    def __init__(
        self, url: str | None = None, *, port: int | None = None, persistent: bool = False
    ) -> None:
        """A server that is not yet running.

        Args:
            url: a running server to use as it is; by default that of NEXUS_WRITER_TEST_REDIS.
            port: TCP port on the loopback interface, 0 for any that is free; None for a socket in a
                private folder.
            persistent: data survive ``restart`` and ``kill``; else a server starts empty.
        """
        self._given = url or os.environ.get(URL_VARIABLE)
        self._wanted_port = port
        self._persistent = persistent
        self._folder: Path | None = None
        self._port = port
        self._program: ServerProgram | None = None
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._pid = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __str__(self) -> str:
        if self._given:
            return f"the server at {self._given}"
        return str(self._program or "a server that has not been started")

    @property
    def url(self) -> str:
        """Where the server listens, for blissdata and redis-py.

        Raises:
            SettingsError: it has not been started.
        """
        if self._given:
            return pinned_url(self._given)
        if self._program is None:
            raise SettingsError("The Redis server has no URL before it is started: use `with`.")
        if self._port is None:
            return pinned_url(f"unix://{self._socket}")
        return pinned_url(f"redis://127.0.0.1:{self._port}")

    def start(self) -> None:
        """Start the server and wait until it answers; again after ``stop`` or ``kill``.

        Raises:
            SettingsError: this machine has no server with the modules, or the given one lacks them.
            SourceUnavailableError: nobody answers at the given URL.
        """
        if self._given:
            if missing := missing_modules(self._given):
                raise SettingsError(
                    f"The Redis server at {self._given} lacks the modules {sorted(missing)}.\n"
                    f"{WHAT_TO_TYPE}"
                )
            return
        if self._supervisor is not None:
            return
        if self._program is not None:
            self._launch(self._program)
            return
        notes: list[str] = []
        for program in find_programs(notes):
            try:
                self._launch(program)
            except SourceUnavailableError as error:
                notes.append(str(error))
            else:
                return
        self.close()
        found = "".join(f"\n  {note}" for note in notes)
        raise SettingsError(
            f"No Redis server with the modules ReJSON and search.{found}\n{WHAT_TO_TYPE}"
        )

    def stop(self) -> None:
        """End the server as its service manager would; it answers again after ``start``."""
        self._end("TERM")

    def kill(self) -> None:
        """End the server at once, as the machine would that runs out of memory."""
        self._end("KILL")

    def freeze(self) -> None:
        """Let the server fall silent, with all connections open; it goes on after ``thaw``."""
        os.kill(self._running, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        os.kill(self._running, signal.SIGCONT)

    def restart(self) -> None:
        """Stop and start, at the same URL; the database is empty then, unless persistent."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End the server and remove its folder."""
        if self._supervisor is not None:
            self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = self._program = None
        self._port = self._wanted_port

    @property
    def _running(self) -> int:
        if self._supervisor is None:
            raise SettingsError(f"{self} was not started by this process, so it is left alone.")
        return self._pid

    @property
    def _private_folder(self) -> Path:
        if self._folder is None:
            folder = Path(tempfile.mkdtemp(prefix="redis-"))
            if len(str(folder)) > _LONGEST_SOCKET_PATH:
                # A socket's path has a limit of 108 bytes, a folder for temporary files has none.
                folder.rmdir()
                folder = Path(tempfile.mkdtemp(prefix="redis-", dir="/tmp"))
            self._folder = folder
        return self._folder

    @property
    def _socket(self) -> Path:
        return self._private_folder / "socket"

    def _launch(self, program: ServerProgram) -> None:
        """Start this program. A free port may be taken before the server has it: try again."""
        for attempt in range(_ATTEMPTS if self._wanted_port == 0 else 1):
            if self._wanted_port == 0 and (attempt or not self._port):
                self._port = _free_port()
            self._spawn(program)
            if self._wait_until_ready():
                self._program = program
                return
            self._end("KILL")
        told = self._last_words()
        raise SourceUnavailableError(f"{program} does not start: {told}")

    def _spawn(self, program: ServerProgram) -> None:
        folder = self._private_folder
        with (folder / "console").open("wb") as console:
            supervisor = subprocess.Popen(
                ["/bin/sh", "-c", _SUPERVISED, folder, program.path, *self._options(program)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=console,
                # Ctrl-C is for the program that uses the server, not for the server.
                start_new_session=True,
            )
        self._supervisor = supervisor
        if supervisor.stdout is not None:
            with supervisor.stdout:
                self._pid = int(supervisor.stdout.readline())

    def _options(self, program: ServerProgram) -> list[str]:
        folder = self._private_folder
        options = ["--daemonize", "no", "--dir", str(folder), "--save", ""]
        options += ["--appendonly", "yes" if self._persistent else "no"]
        if self._port is None:
            options += ["--port", "0", "--unixsocket", str(self._socket)]
        else:
            options += ["--port", str(self._port), "--bind", "127.0.0.1"]
        for module in program.modules:
            options += ["--loadmodule", str(loadable(module, folder))]
        return options

    def _wait_until_ready(self, seconds: float = 30.0) -> bool:
        """Whether the server that was spawned answers, and not another one on its port."""
        url = f"unix://{self._socket}" if self._port is None else f"redis://127.0.0.1:{self._port}"
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._lives():
            # While it loads what it keeps it answers, but nothing of use.
            with (
                suppress(redis.ConnectionError, SourceUnavailableError),
                redis.Redis.from_url(pinned_url(url)) as client,
            ):
                ours: bool = client.info("server")["process_id"] == self._pid
                return ours and not missing_modules(url)
            time.sleep(0.01)
        return False

    def _lives(self) -> bool:
        """Whether the server runs; its supervisor keeps it as a zombie when it has ended."""
        with suppress(OSError):
            state = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()[0]
            return state != "Z"
        return False

    def _last_words(self) -> str:
        lines = (self._private_folder / "console").read_text(errors="replace").splitlines()
        return " | ".join(lines[-3:]) or "it says nothing"

    def _end(self, signal_name: str, seconds: float = 20.0) -> None:
        if self._given:
            raise SettingsError(f"{self} was not started by this process, so it is not ended here.")
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None:
            return
        if supervisor.stdin is not None:
            with suppress(BrokenPipeError), supervisor.stdin:
                supervisor.stdin.write(f"{signal_name}\n".encode())
        try:
            supervisor.wait(seconds)
        except subprocess.TimeoutExpired:
            os.kill(self._pid, signal.SIGKILL)
            supervisor.wait(seconds)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main(
    *,
    check: Annotated[bool, typer.Option("--check", help="Only tell which server is used.")] = False,
    port: Annotated[int, typer.Option(help="TCP port on this machine; 0: any free one.")] = 0,
) -> None:
    """Run a Redis server for tests until interrupted, or --check whether there is one."""
    try:
        with RedisServer(port=port) as server:
            if check:
                typer.echo(f"Redis for tests: {server}")
                return
            reset(server.url)
            typer.echo(server.url)
            signal.signal(signal.SIGTERM, _leave)
            signal.pause()
    except (SettingsError, SourceUnavailableError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        return


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    typer.run(main)
