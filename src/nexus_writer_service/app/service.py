"""``python -m nexus_writer_service.app.service``: the command NexusWriterService."""

from nexus_writer_service.cli.writer_service import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
