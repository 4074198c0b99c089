"""Bluesky's 0MQ proxy as a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_PROGRAM = """
from bluesky.callbacks.zmq import Proxy
proxy = Proxy()
print(proxy.in_port, proxy.out_port, flush=True)
proxy.start()
"""


@dataclass(frozen=True)
class ProxyPorts:
    """Where publishers and subscribers connect to."""

    into: int
    out: int


@contextmanager
def running_proxy() -> Iterator[ProxyPorts]:
    """A proxy on free ports, as long as the context lasts."""
    command = [sys.executable, "-W", "ignore", "-c", _PROGRAM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            into, out = process.stdout.readline().split()
            yield ProxyPorts(*(int(one.rpartition(":")[2]) for one in (into, out)))
        finally:
            process.kill()
