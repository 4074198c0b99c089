"""What a source is to tell of the time before it was made."""

from collections.abc import Callable
from dataclasses import dataclass

from nexus_writer_service.model.description import ScanDescription, ScanKey


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a source tells of the time before it was made."""

    since: str | None = None
    """Id in the stream of created scans, ``<milliseconds since 1970>-<n>``: scans that were created
    after it are told, also those that are over. None: scans created after the first connection."""
    skip: Callable[[ScanKey], bool] = lambda _key: False
    """Scans that it says yes to are passed over, at no cost."""
    concerns: Callable[[ScanDescription], bool] = lambda _scan: True
    """Asked about scans that were created before they could be heard of: those that it says no to
    are passed over. What it is given says session, path, save and data_writer, and no more."""
    expected: frozenset[ScanKey] = frozenset()
    """Scans that an earlier writer did not finish. They are told wherever they are found, and
    ``Vanished``, without having been announced, when Redis does not hold them any more."""
