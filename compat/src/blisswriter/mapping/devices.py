"""Devices of a scan, and where their channels are in its entry."""

from nexus_writer_service.h5map import all_devices_info, get_primary_dataset_path

__all__ = ["all_devices_info", "get_primary_dataset_path"]
