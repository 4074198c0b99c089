"""``python -m nexus_writer_service.app.register_service``: the command RegisterNexusWriter.

Also the place where BLISS looks for how to find a session's writer.
"""

from nexus_writer_service.cli.register_writer import main
from nexus_writer_service.tango.discovery import find_session_writer, get_uri
from nexus_writer_service.tango.register import register_session_writer

__all__ = ["find_session_writer", "get_uri", "main", "register_session_writer"]

if __name__ == "__main__":
    main()
