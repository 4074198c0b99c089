"""Which generation of BLISS publishes the scans of a session, and the source for it.

BLISS 2 keeps scans as JSON documents in a database that blissdata 2 has set up, on a Redis with
modules; BLISS 1 as a tree of nodes in database 1 of a Redis without any. So a database tells of
itself who uses it, but for one that is still empty and could become either.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from redis import ResponseError

from nexus_writer_service.errors import SourceUnavailableError
from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.sources.bliss.presence import existing as existing_in_bliss2
from nexus_writer_service.sources.bliss.session import BlissSource
from nexus_writer_service.sources.bliss.store import RedisLink, redis_url
from nexus_writer_service.sources.bliss1.presence import existing as existing_in_bliss1
from nexus_writer_service.sources.bliss1.presence import is_of_bliss1
from nexus_writer_service.sources.bliss1.session import Bliss1Source
from nexus_writer_service.sources.bliss1.store import database_url

_SET_UP = b"_PROTOCOL_VERSION_"
"""The key that a database of blissdata 2 has."""
_MODULE = b"ReJSON"
"""A module without which blissdata 2 cannot keep a scan."""


class Generation(StrEnum):
    """Who publishes the scans."""

    AUTO = "auto"
    """Whoever uses the database: see ``recognised``."""
    BLISS1 = "bliss1"
    BLISS2 = "bliss2"


def recognised(url: str, session: str) -> Generation:
    """The generation of BLISS that uses a Redis server.

    Args:
        url: of the server, or of the database of scans.
        session: name of the BLISS session.

    Raises:
        SettingsError: the URL cannot be used.
        SourceUnavailableError: Redis cannot be reached; or it holds nothing yet, and both
            generations could use it.
    """
    (version, modules) = _answers(url, (b"GET", _SET_UP), (b"MODULE", b"LIST"))
    if version is not None and not isinstance(version, ResponseError):
        return Generation.BLISS2
    (node,) = _answers(database_url(url), (b"EXISTS", session))
    if node == 1:
        return Generation.BLISS1
    if isinstance(modules, list) and _MODULE not in _flat(modules):
        return Generation.BLISS1
    name = RedisLink(url).name
    raise SourceUnavailableError(
        f"Redis at {name} holds no scans, neither of BLISS 1 nor of BLISS 2: it has not been set "
        f"up for blissdata yet, session {session!r} of BLISS 1 has not been started yet, or it is "
        "not the database of scans. Where only one can come, say so: source bliss1 or bliss2"
    )


def settled(generation: Generation, url: str, session: str) -> Generation:
    """The generation that is asked for; the recognised one for ``AUTO``.

    Raises:
        SettingsError: the URL cannot be used.
        SourceUnavailableError: it is to be recognised and cannot be yet.
    """
    return recognised(url, session) if generation is Generation.AUTO else generation


def source_of(
    generation: Generation, url: str, session: str, backlog: Backlog
) -> BlissSource | Bliss1Source:
    """The source of a session's scans.

    Args:
        generation: which one; ``AUTO`` is recognised now.
        url: of the server, or of the database of scans.
        session: name of the BLISS session; empty for all sessions of BLISS 2.
        backlog: what of the past is told.

    Raises:
        SettingsError: the URL cannot be used.
        SourceUnavailableError: it is to be recognised and cannot be yet.
    """
    if settled(generation, url, session) is Generation.BLISS1:
        return Bliss1Source(url, session, backlog=backlog)
    return BlissSource(url, session or None, backlog=backlog)


def existing(url: str | None, keys: set[ScanKey], environment: Mapping[str, str]) -> set[ScanKey]:
    """Those of the scans that Redis still holds, of either generation.

    Args:
        url: of the server or the database; None: as ``environment`` says.
        keys: of scans.
        environment: of the process.

    Raises:
        SettingsError: the URL cannot be used, or it is not known.
        SourceUnavailableError: Redis cannot be reached.
        SourceError: it refuses to tell.
    """
    found: set[ScanKey] = set()
    old = {key for key in keys if is_of_bliss1(key)}
    place = url or redis_url(environment)
    if old:
        found |= existing_in_bliss1(place, old)
    if old != keys:
        found |= existing_in_bliss2(place, keys - old)
    return found


def _answers(url: str, *commands: tuple[bytes | str, ...]) -> list[Any]:
    link = RedisLink(url, any_database=True)
    try:
        link.connect()
        return link.request(*commands)
    finally:
        link.close()


def _flat(modules: list[Any]) -> list[Any]:
    return [item for module in modules if isinstance(module, list) for item in module]
