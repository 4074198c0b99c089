"""Which scans Redis still holds, for those who find traces of scans elsewhere."""

from collections.abc import Iterable

from nexus_writer_service.errors import SourceError
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.sources.bliss.store import RedisLink


def existing(url: str, keys: Iterable[ScanKey]) -> set[ScanKey]:
    """Those of the scans that are still there, running or not.

    Args:
        url: of the Redis database that holds the scans.
        keys: of scans.

    Raises:
        SettingsError: the URL cannot be used.
        SourceUnavailableError: Redis cannot be reached, or is not set up for scans.
        SourceError: it refuses to tell.
    """
    asked = sorted(set(keys))
    link = RedisLink(url)
    try:
        link.connect()
        answers = link.request(*((b"EXISTS", key.encode(errors="replace")) for key in asked))
    finally:
        link.close()
    for answer in answers:
        if not isinstance(answer, int):
            raise SourceError(f"Redis at {link.name} does not tell which scans it holds: {answer}")
    return {key for key, answer in zip(asked, answers, strict=True) if answer}
