"""Leases on a session, for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nexus_writer_service.sources.bliss.holder import Holder
from nexus_writer_service.sources.bliss.lease import SessionLease, lease_key

if TYPE_CHECKING:
    import redis

SESSION = "test_session"


LIFE = 1.5
"""Seconds; short, so that tests of leases that run out are."""


class Lost(list[str]):
    """Who a lease was lost to."""


@contextmanager
def lease(url: str, owner: str, *, life: float = LIFE) -> Iterator[tuple[SessionLease, Lost]]:
    """A lease that is not taken yet, given back at the end."""
    lost = Lost()
    one = SessionLease(url, SESSION, owner, on_lost=lost.append, life=life)
    try:
        yield one, lost
    finally:
        one.release()


def owner(client: "redis.Redis[bytes]") -> str:
    """Who has the lease, as its key says."""
    return Holder.decoded(client.get(lease_key(SESSION)) or b"").owner
