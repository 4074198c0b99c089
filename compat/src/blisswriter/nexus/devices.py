"""Devices of a scan."""

from nexus_writer_service.h5map import all_devices_info as device_info

__all__ = ["device_info"]
