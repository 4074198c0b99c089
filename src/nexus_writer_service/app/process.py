"""``python -m nexus_writer_service.app.process``: the command NexusSessionWriter."""

from nexus_writer_service.cli.session_writer import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
