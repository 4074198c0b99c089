"""Statuses of scans, for tests of what is told of them."""

from dataclasses import replace

from nexus_writer_service.service.status import Progress, ScanStatus


def at(status: ScanStatus, points: int) -> ScanStatus:
    """The status with so many points written."""
    return replace(status, progress=(Progress("axis", points, points),))
