"""The maps of a scan's files, in the classic layout, from its scan info."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from nexus_writer_service.h5map.description import described
from nexus_writer_service.h5map.items import group_item
from nexus_writer_service.layout.esrf import EsrfOptions, EsrfPlan
from nexus_writer_service.layout.writer_note import NOTE
from nexus_writer_service.model.description import Json, ScanDescription
from nexus_writer_service.model.tree import Group, Node, merged

_STAMPS = frozenset({"file_time", "file_update_time", "creator"})
"""What the writer says of itself and of its files."""


class GroupModel(Protocol):
    """What blissdata's model of a group offers [blissdata 2.4, h5map]."""

    def model_dump(self) -> dict[str, Any]:
        """The map as BLISS puts it into the scan info."""


def scan_info_to_h5map(
    scan_info: Mapping[str, Json],
    configurable: bool = True,
    flat: bool = True,
    multivalue_positioners: bool = False,
) -> dict[str, GroupModel]:
    """The maps of a scan's files by absolute path, as models of blissdata.

    To be called when a scan is prepared, and again when it is over.

    Args:
        scan_info: of the scan.
        configurable: whether what the session says of devices, instrument and master files counts.
        flat: whether grid scans are one long axis.
        multivalue_positioners: whether positioners that move together share a group.

    Raises:
        LayoutError: the scan is to be saved, but has no absolute file path.
        ImportError: blissdata is older than 2.4.
    """
    # Here, because it takes most of a second to import, and only this function needs it. It
    # has types, but does not say what it exports.
    from blissdata.h5map import Group as Model  # type: ignore[attr-defined]  # noqa: PLC0415

    options = EsrfOptions(
        keepshape=not flat,
        multivalue_positioners=multivalue_positioners,
        configurable=configurable,
    )
    maps = h5maps(scan_info, options)
    return {path: Model.model_validate(one) for path, one in maps.items()}


def h5maps(
    scan_info: Mapping[str, Json],
    options: EsrfOptions | None = None,
    data_streams: Mapping[str, Json] | None = None,
) -> dict[str, dict[str, Json]]:
    """The maps of a scan's files by absolute path, as JSON; none for a scan that is not saved.

    Args:
        scan_info: of the scan. One with ``end_reason`` is over.
        options: how the scan is to be laid out.
        data_streams: types and shapes of the channels as in the scan's document, where these are
            known. Without them, plots have no axes along the dimensions of detectors, and those of
            grids show numbers as float64.

    Raises:
        LayoutError: the scan is to be saved, but has no absolute file path.
    """
    scan = described(scan_info, data_streams)
    if not scan.save:
        return {}
    plan = EsrfPlan(scan, options or EsrfOptions())
    begin = _moment(scan.start_time)
    trees = [plan.start(begin), plan.links(begin), plan.first_points(plan.places)]
    if scan.end_reason is not None:
        trees.append(plan.finish(scan, _moment(scan.end_time)))
    trees.append(_plots(plan, scan))
    files = {path: merged(*(one.get(path, Group()) for one in trees)) for path in _paths(trees)}
    stamps = {path: Group(attributes=plan.root(begin, {}, path)) for path in files}
    return {
        path: group_item(_published(merged(stamps[path], tree), plan))
        for path, tree in files.items()
    }


def _plots(plan: EsrfPlan, scan: ScanDescription) -> Mapping[str, Group]:
    """The plots of a scan that has all its points, or of one of which nobody knows.

    A scan that went well counts as one that has all.
    """
    points = math.prod(scan.shape)
    final = scan.end_reason == "SUCCESS" and points > 0
    return plan.plots(dict.fromkeys(plan.places, points), final=final)


def _published(tree: Group, plan: EsrfPlan) -> Group:
    """A file's tree without what the writer says of itself."""
    children: dict[str, Node] = dict(tree.children)
    for name in plan.entries:
        entry = children.get(name)
        if isinstance(entry, Group):
            below = {key: node for key, node in entry.children.items() if key != NOTE}
            children[name] = Group(below, entry.attributes)
    attributes = {key: one for key, one in tree.attributes.items() if key not in _STAMPS}
    return Group(children, attributes)


def _paths(trees: list[Mapping[str, Group]]) -> list[str]:
    return list(dict.fromkeys(path for one in trees for path in one))


def _moment(text: str | None) -> datetime:
    try:
        return datetime.fromisoformat(text or "").astimezone()
    except ValueError:
        return datetime.now(UTC)
