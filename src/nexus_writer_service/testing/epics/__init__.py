"""Soft IOCs of one's own: a sensor and motors on Channel Access, for tests and demonstrations.

Needs the extra ``demo-bluesky``.
"""

from nexus_writer_service.testing.epics.servers import EpicsServers, epics_servers

__all__ = ["EpicsServers", "epics_servers"]
