"""Scans that come into being at a known moment, to be asked for at once.

A scan is created as blissdata 2 does it, by one transaction: its document, an entry in the stream
of created scans, and its first state. The transaction is prepared beforehand, so the clock starts
with the write to the socket and not with the making of the document.
"""

import secrets
import time
from dataclasses import dataclass
from typing import Any

import redis

from nexus_writer_service.testing.redis_server import pinned_url
from nexus_writer_service.testing.simulation import SimulatedSession, designs

_CREATED, _CLOSED = 0, 4


@dataclass(frozen=True, slots=True)
class Creation:
    """When a scan was created, in seconds of ``time.perf_counter``."""

    key: str
    name: str
    sent: float
    """Just before the transaction was sent."""
    done: float
    """When Redis had confirmed it: when BLISS goes on, to ask its writer."""
    state_key: str


class ScanFactory:
    """Creates scans like one that a simulated session has published, under new names.

    Args:
        session: publishes the pattern.
        first: number of the first scan; no two scans of a run may have the same.
    """

    def __init__(self, session: SimulatedSession, first: int) -> None:
        self._client = redis.Redis.from_url(pinned_url(session.url))
        pattern = session.open(lambda setting: designs.loopscan(setting, 1))
        self._document: dict[str, Any] = self._client.json().get(pattern.record.key)
        self._prefix = pattern.record.key.rpartition("scan:")[0]
        self._number = first - 1
        pattern.close("USER_ABORT")

    def create(self) -> Creation:
        """Create the next scan."""
        self._number += 1
        name = f"{self._number}_loopscan"
        scan, state = (f"0{secrets.token_hex(13)[1:].upper()}" for _ in range(2))
        key, state_key = f"{self._prefix}scan:{scan}", f"{self._prefix}stream:{state}"
        document = self._document | {
            "pk": scan,
            "id": self._document["id"] | {"name": name, "number": self._number},
            "info": self._document["info"] | {"name": name, "scan_nb": self._number},
            "state_stream": self._document["state_stream"] | {"pk": state},
        }
        pipeline = self._client.pipeline(transaction=True)
        pipeline.json().set(key, "$", document)
        pipeline.xadd("_SCAN_HISTORY_", {"key": key}, maxlen=2048)
        pipeline.xadd(state_key, {"state": _CREATED})
        sent = time.perf_counter()
        pipeline.execute()
        return Creation(key, name, sent, time.perf_counter(), state_key)

    def end(self, creation: Creation) -> None:
        """End a scan, as one that was aborted before it was prepared."""
        pipeline = self._client.pipeline(transaction=True)
        pipeline.json().set(creation.key, "$.info.end_reason", "USER_ABORT")
        pipeline.xadd(creation.state_key, {"state": _CLOSED})
        pipeline.execute()

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()
