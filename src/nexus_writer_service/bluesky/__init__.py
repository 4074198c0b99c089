"""NeXus files of Bluesky runs, written while they go on.

``RE.subscribe(NXWriter())``; docs/bluesky.md tells the rest.
"""

from nexus_writer_service.bluesky.aps import NXWriterAPS
from nexus_writer_service.bluesky.base import FileWriterCallbackBase
from nexus_writer_service.bluesky.results import RunResult
from nexus_writer_service.bluesky.writer import NEXUS_FILE_EXTENSION, NXWriter
from nexus_writer_service.layout.bluesky.options import NEXUS_RELEASE
from nexus_writer_service.sources.bluesky.archive import replay

__all__ = [
    "NEXUS_FILE_EXTENSION",
    "NEXUS_RELEASE",
    "FileWriterCallbackBase",
    "NXWriter",
    "NXWriterAPS",
    "RunResult",
    "replay",
]
