"""Which scans of BLISS 1 Redis still holds, for those who find traces of scans elsewhere."""

from collections.abc import Iterable

from nexus_writer_service.errors import SourceError
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.sources.bliss.store import RedisLink
from nexus_writer_service.sources.bliss1.description import db_name_of, scan_key
from nexus_writer_service.sources.bliss1.nodes import Info
from nexus_writer_service.sources.bliss1.store import database_url

_START = b"start_timestamp"


def is_of_bliss1(key: ScanKey) -> bool:
    """Whether a key is that of a scan of BLISS 1, ``<db name>@<start>``."""
    return "@" in key


def existing(url: str, keys: Iterable[ScanKey]) -> set[ScanKey]:
    """Those of the scans that are still there, running or not.

    Args:
        url: of the Redis server that holds the scans.
        keys: of scans.

    Raises:
        SettingsError: the URL cannot be used.
        SourceUnavailableError: Redis cannot be reached.
        SourceError: it refuses to tell.
    """
    asked = sorted(set(keys))
    link = RedisLink(database_url(url), any_database=True)
    try:
        link.connect()
        answers = link.request(*((b"HGET", f"{db_name_of(key)}_info", _START) for key in asked))
    finally:
        link.close()
    for answer in answers:
        if not isinstance(answer, bytes | None):
            raise SourceError(f"Redis at {link.name} does not tell which scans it holds: {answer}")
    return {
        key
        for key, answer in zip(asked, answers, strict=True)
        if answer is not None and _key(db_name_of(key), answer) == key
    }


def _key(db_name: str, start: bytes) -> ScanKey:
    return scan_key(db_name, Info.decoded(db_name, {_START: start}))
