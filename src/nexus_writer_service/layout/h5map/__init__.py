"""The layout that a scan brings along: maps of its files, as blissdata publishes them since 2.4.

``items`` understands the JSON of a map, ``values`` that of its values; ``files`` finds out what of
one file can be written when; ``plan`` turns the maps of a scan into the trees of each moment.
"""

from nexus_writer_service.layout.h5map.plan import MappedPlan, plan

__all__ = ["MappedPlan", "plan"]
