"""A device that BLISS takes for a writer, and that does nothing: the floor under every latency.

    python -m bench.dummy_device INSTANCE

Serves ``nexuswriter/INSTANCE``. It never reads Redis, so each scan that is asked for exists.
"""

import sys

import tango
from tango.server import Device, command, device_property, run

_NAME = {"dtype_in": str, "doc_in": "scan name"}


class NexusWriter(Device):
    """Answers what BLISS asks in the course of a scan, always the same and at once."""

    session = device_property(dtype=str, default_value="")

    def init_device(self) -> None:
        """Be ready."""
        super().init_device()
        self.set_state(tango.DevState.ON)
        self.set_status("writes nothing")

    @command(dtype_in=str)
    def makedirs(self, path: str) -> None:
        """Make no directory."""

    @command(**_NAME, dtype_out=bool)
    def scan_exists(self, _name: str) -> bool:
        """Yes."""
        return True

    @command(**_NAME, dtype_out=bool)
    def scan_has_write_permissions(self, _name: str) -> bool:
        """Yes."""
        return True

    @command(**_NAME, dtype_out=str)
    def scan_disk_space_error(self, _name: str) -> str:
        """None."""
        return ""

    @command(**_NAME, dtype_out=str)
    def scan_disk_space_warning(self, _name: str) -> str:
        """None."""
        return ""

    @command(**_NAME, dtype_out="DevState")
    def scan_state(self, _name: str) -> tango.DevState:
        """Writing, for ever."""
        return tango.DevState.ON

    @command(**_NAME, dtype_out=str)
    def scan_state_reason(self, _name: str) -> str:
        """None."""
        return ""


if __name__ == "__main__":
    run((NexusWriter,), args=["nexuswriter", sys.argv[1]])
