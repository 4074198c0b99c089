"""Where the entries of a scan are."""

from blisswriter.writer.scan_url_info import scan_urls

__all__ = ["scan_urls"]
