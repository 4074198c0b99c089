"""Which Tango device writes a session."""

from nexus_writer_service.tango.discovery import find_session_writer, get_uri

__all__ = ["find_session_writer", "get_uri"]
