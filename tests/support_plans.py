"""Plans of scans, and what they hold."""

from datetime import UTC, datetime
from typing import Any

from tests.support_description import at

from nexus_writer_service.layout.esrf import EsrfOptions, EsrfPlan, plan
from nexus_writer_service.model.description import (
    ScanDescription,
)
from nexus_writer_service.model.tree import (
    Dataset,
    Group,
    merged,
)

NOW = datetime(2026, 11, 20, 19, 0, 0, 5, tzinfo=UTC)


FILE = "/data/sample/sample_1.h5"


def made(scan: ScanDescription, **options: Any) -> EsrfPlan:
    return plan(scan, EsrfOptions(**options))


def started(scan: ScanDescription, **options: Any) -> Group:
    return made(scan, **options).start(NOW)[FILE]


def first_points(found: EsrfPlan) -> Group:
    return merged(*(tree for name in found.places for tree in found.first_point(name).values()))


def finished(scan: ScanDescription, end: ScanDescription | None = None) -> Group:
    return made(scan).finish(end or scan, NOW)[FILE]


def value(group: Group, path: str) -> Any:
    node = at(group, path)
    assert isinstance(node, Dataset)
    return node.value
