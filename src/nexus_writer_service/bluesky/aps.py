"""``NXWriterAPS``: what is known of the Advanced Photon Source goes into the file, too."""

from typing import Any

from nexus_writer_service.bluesky.writer import NXWriter


class NXWriterAPS(NXWriter):
    """Writes source and undulator of the Advanced Photon Source, out of the baseline."""

    _aps = True

    def write_instrument(self, parent: Any) -> Any:
        """As ``NXWriter`` does, and the undulator. ``parent``: the NXentry."""
        nxinstrument = super().write_instrument(parent)
        self.write_undulator(nxinstrument)
        return nxinstrument

    def write_undulator(self, parent: Any) -> Any:
        """The undulator; None when nothing is known. ``parent``: the NXinstrument."""
        return self._merge("undulator", parent)
