"""The files of a scan as maps."""

from nexus_writer_service.h5map import scan_info_to_h5map

__all__ = ["scan_info_to_h5map"]
