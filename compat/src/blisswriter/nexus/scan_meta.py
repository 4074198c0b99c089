"""Generators of metadata."""

from nexus_writer_service.metadata import register_all_metadata_generators

__all__ = ["register_all_metadata_generators"]
