"""Where the entries of a scan are."""

from nexus_writer_service.h5map.scan_url_info import scan_urls

__all__ = ["scan_urls"]
