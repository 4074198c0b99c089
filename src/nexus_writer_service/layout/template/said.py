"""What a scan says of itself, by the paths that templates use."""

from collections.abc import Mapping

from nexus_writer_service.model.description import Json, ScanDescription

_OWN = (
    *("title", "name", "number", "session", "start_time", "end_time", "end_reason"),
    *("count_time", "data_policy", "publisher", "publisher_version"),
)
"""Attributes of ``ScanDescription`` that are single values."""


def said(scan: ScanDescription, path: str) -> Json:
    """A value out of the description of a scan; None where it says nothing.

    Args:
        scan: its description so far.
        path: one of the scan's own (``title``, ``count_time``...), ``positioners/<motor>`` and
            ``positioners_end/<motor>``, ``dataset/<name>`` of the data policy, or a category of
            the scan's metadata and the names in it: ``sample/name``.
    """
    if path in _OWN:
        value: Json = getattr(scan, path)
        return value or None if isinstance(value, str) else value
    first, _, rest = path.partition("/")
    groups: dict[str, Mapping[str, Json]] = {
        "positioners": scan.positioners.start,
        "positioners_end": scan.positioners.end,
        "dataset": scan.dataset_metadata,
    }
    found: Json = scan.categories.get(first, groups.get(first))
    # Names of the data policy have no slashes, but those of other sources may.
    return _within(found, rest) if rest else found


def _within(group: Json, path: str) -> Json:
    if not isinstance(group, Mapping):
        return None
    if path in group:
        return group[path]
    first, slash, rest = path.partition("/")
    return _within(group.get(first), rest) if slash else None
