"""Where channels are in the entry of a scan."""

from nexus_writer_service.h5map import get_primary_dataset_path

__all__ = ["get_primary_dataset_path"]
