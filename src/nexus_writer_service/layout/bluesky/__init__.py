"""The layout of Bluesky runs: the tree that apstools' NXWriter made known."""

from nexus_writer_service.layout.bluesky.options import BlueskyOptions
from nexus_writer_service.layout.bluesky.plan import BlueskyPlan, plan

__all__ = ["BlueskyOptions", "BlueskyPlan", "plan"]
