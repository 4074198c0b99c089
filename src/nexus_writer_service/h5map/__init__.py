"""Maps of files for BLISS sessions: the classic layout, as scans bring it along since BLISS 2.3.

What a session calls while a scan is prepared and closed. It imports numpy and the pure parts of
this package; blissdata, which such a session has anyway, only when maps become its models.
"""

from nexus_writer_service.h5map import scan_url_info
from nexus_writer_service.h5map.devices import all_devices_info, get_primary_dataset_path
from nexus_writer_service.h5map.maps import h5maps, scan_info_to_h5map

__all__ = [
    "all_devices_info",
    "get_primary_dataset_path",
    "h5maps",
    "scan_info_to_h5map",
    "scan_url_info",
]
