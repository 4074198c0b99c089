"""What only a BLISS session knows: types of devices, instrument, master files, technique.

In the setup script of a session:

    from nexus_writer_service import metadata

    metadata.register_all_metadata_generators()

From then on each scan brings these in ``scan_info["nexuswriter"]``, and the writer uses them. Scans
without them are written, too, but each channel is a detector of its own then.

Importing this package costs nothing: it reads no other part of the writer but its errors, and BLISS
not before the call.
"""

from nexus_writer_service.metadata.registration import (
    CATEGORY,
    ScanMetadata,
    register_all_metadata_generators,
    register_metadata_generators,
)

__all__ = [
    "CATEGORY",
    "ScanMetadata",
    "register_all_metadata_generators",
    "register_metadata_generators",
]
