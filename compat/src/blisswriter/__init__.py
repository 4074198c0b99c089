"""The names of the writer's package that BLISS imports, taken from ``nexus_writer_service``."""
