"""Both soft IOCs as processes, on ports of their own of this machine."""

import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO

from nexus_writer_service.errors import SourceUnavailableError

PREFIX = "nws:"
_PATIENCE = 60.0
"""Seconds for an IOC to start, on a machine that does much else."""


@dataclass(frozen=True, slots=True)
class EpicsServers:
    """Where the records are.

    Attributes:
        prefix: of their names.
        environment: what a client needs in its environment, before it speaks Channel Access.
    """

    prefix: str
    environment: dict[str, str]


@contextmanager
def epics_servers(prefix: str = PREFIX) -> Iterator[EpicsServers]:
    """Serve a sensor and two motors as long as the context lasts.

    They listen on the loopback interface only, so nobody else's records are met.

    Raises:
        SourceUnavailableError: a server did not start; the message holds what it said.
    """
    with ExitStack() as stack:
        ports = [stack.enter_context(_server(name, prefix)) for name in ("sensor", "motors")]
        yield EpicsServers(
            prefix,
            {
                "EPICS_CA_ADDR_LIST": " ".join(f"127.0.0.1:{port}" for port in ports),
                "EPICS_CA_AUTO_ADDR_LIST": "NO",
                "EPICS_CA_REPEATER_PORT": str(_free_port()),
                "EPICS_CA_MAX_ARRAY_BYTES": "1000000",
            },
        )


@contextmanager
def _server(name: str, prefix: str) -> Iterator[int]:
    port = _free_port()
    command = [sys.executable, "-m", f"nexus_writer_service.testing.epics.{name}", prefix]
    environment = {
        **os.environ,
        "EPICS_CA_SERVER_PORT": str(port),
        "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1",
        "EPICS_CAS_BEACON_ADDR_LIST": "127.0.0.1",
        "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
        "EPICS_CA_REPEATER_PORT": str(_free_port()),
    }
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        text=True,
    )
    try:
        if process.stdout is not None:
            _await_ready(name, process.stdout)
        yield port
    finally:
        process.kill()
        process.communicate()


def _await_ready(name: str, output: IO[str]) -> None:
    """Wait until a server says that it is ready; what it says before is kept for an error."""
    said: list[str] = []
    while select.select([output], [], [], _PATIENCE)[0]:
        line = output.readline()
        if line.strip() == "ready":
            return
        if not line:
            break
        said.append(line)
    raise SourceUnavailableError(
        f"the soft IOC of the {name} did not start; it said: {''.join(said) or 'nothing'}; "
        "is the extra demo-bluesky installed?"
    )


def _free_port() -> int:
    """A port that is free for UDP, where clients search, and for TCP."""
    while True:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
            stream.bind(("127.0.0.1", 0))
            port: int = stream.getsockname()[1]
            try:
                datagram.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
