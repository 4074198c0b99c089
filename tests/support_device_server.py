"""The device server as a process, on a Tango database and a Redis of the tests."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import tango
from tests.support_tango import add_device
from tests.support_waiting import wait_for

from nexus_writer_service.testing.simulation import SimulatedScan

NO_CHECK = {"required_disk_space": 0, "recommended_disk_space": 0}
"""Properties with which the disk of the tests is always large enough."""


class DeviceServer:
    """``NexusWriterService`` with devices of the given sessions, from ``start`` to ``close``.

    Args:
        database: Tango database; TANGO_HOST leads to it.
        redis_url: where the scans are.
        folder: for its output and its state.
        sessions: one device for each.
        instance: of the server.
        program: what Python runs as the server.
        properties: of all devices.
        device_class: of all devices.
    """

    def __init__(
        self,
        database: tango.Database,
        redis_url: str,
        folder: Path,
        *sessions: str,
        instance: str = "nexuswriters",
        program: Sequence[str] = ("-m", "nexus_writer_service"),
        properties: Mapping[str, object] | None = None,
        device_class: str = "NexusWriter",
    ) -> None:
        self._log = folder / f"{instance}.log"
        self._environment = {
            **os.environ,
            "REDIS_DATA_URL": redis_url,
            "XDG_STATE_HOME": str(folder / "state"),
        }
        self._instance = instance
        self._program = program
        self.database = database
        family = "bliss_nxwriter" if instance == "nexuswriters" else instance
        self.names = [f"id00/{family}/{session or 'all'}" for session in sessions]
        self.process: subprocess.Popen[bytes] | None = None
        for session, name in zip(sessions, self.names, strict=True):
            given = {"session": session, **NO_CHECK, **(properties or {})}
            texts = {key: str(value) for key, value in given.items()}
            add_device(
                database,
                name,
                server=f"nexuswriter/{instance}",
                device_class=device_class,
                properties=texts,
            )

    @property
    def device(self) -> tango.DeviceProxy:
        """A proxy of the first device."""
        return self.proxy(0)

    def proxy(self, number: int) -> tango.DeviceProxy:
        """A proxy of a device."""
        return tango.DeviceProxy(self.names[number])

    def set_property(self, name: str, *values: object) -> None:
        """Change a property of the first device, as Jive does."""
        self.database.put_device_property(self.names[0], {name: [str(one) for one in values]})

    @property
    def output(self) -> str:
        """What the server has said so far."""
        return self._log.read_text(errors="replace")

    def start(self, *options: str, wait: bool = True, **environment: str) -> None:
        """Start the server and wait until it answers."""
        command = [sys.executable, *self._program, self._instance, "--log=info"]
        with self._log.open("ab") as output:
            self.process = subprocess.Popen(
                [*command, *options],
                env=self._environment | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        if wait:
            # Clients of PyTango 9.5 take their time to find a database again that was away.
            wait_for(self.answers, timeout=60, what="an answer of the device server")

    def answers(self) -> bool:
        """Whether the server answers."""
        assert self.process is not None
        assert self.process.poll() is None, self.output
        try:
            for number in range(len(self.names)):
                self.proxy(number).ping()
        except tango.DevFailed:
            return False
        return True

    def await_state(self, state: str, number: int = 0) -> str:
        """Wait until a device is in a state; returns its status."""
        device = self.proxy(number)
        wait_for(lambda: str(device.state()) == state, what=state)
        return str(device.status())

    def kill(self) -> None:
        """End the server at once."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(20)

    def end(self) -> int:
        """End the server in order; returns its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def close(self) -> None:
        """End it if it runs; nobody may have had to report a bug."""
        if self.process is None:
            return
        if self.process.poll() is None and self.end():
            self.kill()
        assert "Traceback" not in self.output, self.output
        assert "please report" not in self.output, self.output


def await_scan(device: tango.DeviceProxy, name: str, state: str) -> str:
    """Wait until a scan is in a state; returns the reason."""

    def there() -> bool:
        return bool(device.scan_exists(name)) and str(device.scan_state(name)) == state

    wait_for(there, what=f"{name} {state}")
    return str(device.scan_state_reason(name))


def finish(scan: SimulatedScan) -> None:
    """Publish what is left of a scan, and end it."""
    scan.publish()
    scan.stop()
    scan.close()
