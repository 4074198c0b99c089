"""``python -m nexus_writer_service.nexus_register_writer``: the command RegisterNexusWriter."""

from nexus_writer_service.cli.register_writer import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
