"""``nexus-writer bluesky``: RunEngine, proxy and writer are three processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
from bluesky.callbacks.zmq import Publisher
from tests.support_bluesky_proxy import ProxyPorts, running_proxy
from tests.support_recordings import recorded
from tests.support_waiting import wait_for

from nexus_writer_service.bluesky import NXWriter
from nexus_writer_service.cli.bluesky import conclude, follow
from nexus_writer_service.errors import DecodeError
from nexus_writer_service.sources.bluesky.recording import Document

ENGINE = """
import sys
import time
from pathlib import Path
from bluesky import RunEngine, plans
from bluesky.callbacks.zmq import Publisher
from nexus_writer_service.sources.bluesky.encoding import pack
from ophyd.sim import det, motor

publisher = Publisher(
    ("127.0.0.1", int(sys.argv[1])), serializer=lambda doc: pack(doc) if doc else b"\\xc1"
)
said = Path(sys.argv[2])
before, deadline = said.stat().st_size, time.monotonic() + 60
while said.stat().st_size == before and time.monotonic() < deadline:
    publisher("start", {})  # what is sent before the proxy has the connection is lost
    time.sleep(0.05)
engine = RunEngine({})
engine.subscribe(publisher)
engine(plans.scan([det], motor, -1, 1, 11))
"""


@contextmanager
def service(ports: ProxyPorts, out: Path, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """The command, subscribed; what it says is in ``out/said.txt``."""
    command = [sys.executable, "-m", "nexus_writer_service.cli.main", "bluesky"]
    with open(out / "said.txt", "w") as said:
        process = subprocess.Popen(
            [*command, f"127.0.0.1:{ports.out}", f"--out={out}", *options],
            stdout=said,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            text=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def said(out: Path) -> str:
    return (out / "said.txt").read_text()


def wait_until_subscribed(ports: ProxyPorts, out: Path) -> None:
    """Publishes what is no document until the service says that it has heard of it."""
    publisher = Publisher(("127.0.0.1", ports.into), serializer=lambda doc: b"\xc1")

    def heard() -> bool:
        publisher("start", {})
        return "is left out" in said(out)

    wait_for(heard, timeout=60, what="the service's subscription")
    publisher.close()


def test_a_run_of_another_process_becomes_a_file(tmp_path: Path) -> None:
    with running_proxy() as ports, service(ports, tmp_path) as process:
        wait_until_subscribed(ports, tmp_path)
        subprocess.run(
            [sys.executable, "-c", ENGINE, str(ports.into), str(tmp_path / "said.txt")], check=True
        )
        wait_for(lambda: "complete" in said(tmp_path), timeout=60, what="a verdict")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    (path,) = tmp_path.glob("*.hdf")
    with h5py.File(path, "r") as file:
        assert file["entry/data/motor"][()].tolist() == np.linspace(-1, 1, 11).tolist()


class Told:
    """A source of messages; one that is None cannot be understood."""

    def __init__(self, *messages: Document | None) -> None:
        self._messages = list(messages)

    def read(self, timeout: float) -> Document | None:
        message = self._messages.pop(0)
        if message is None:
            raise DecodeError("pickled")
        return message

    def over(self) -> bool:
        return not self._messages


def test_a_message_that_is_not_understood_costs_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    documents = list(recorded("sim_count", tmp_path))
    writer, lines = NXWriter(), list[str]()
    writer.file_path = str(tmp_path)
    source = Told(*documents[:4], None, *documents[4:])
    follow(source, writer, source.over, lines.append)
    conclude(writer, 60, lines.append)
    assert [": complete" in line for line in lines] == [True]
    assert "pickled" in caplog.text


def test_a_run_that_goes_on_when_the_service_ends_is_left_as_interrupted(tmp_path: Path) -> None:
    writer, lines = NXWriter(), list[str]()
    writer.file_path = str(tmp_path)
    source = Told(*list(recorded("sim_count", tmp_path))[:5])
    follow(source, writer, source.over, lines.append)
    conclude(writer, 60, lines.append)
    assert [": interrupted" in line for line in lines] == [True]
