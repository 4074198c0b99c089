"""Scans that come into being at a known moment, to be asked for at once.

A scan is created as blissdata 2 does it, by one transaction: its document, an entry in the stream
of created scans, and its first state. The transaction is prepared beforehand, so the clock starts
with the write to the socket and not with the making of the document.
"""

import json
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
    """

    def __init__(self, session: SimulatedSession) -> None:
        self._client = redis.Redis.from_url(pinned_url(session.url))
        pattern = session.open(lambda setting: designs.loopscan(setting, 1))
        self._document: dict[str, Any] = json.loads(
            self._client.execute_command("JSON.GET", pattern.record.key)
        )
        self._prefix = pattern.record.key.rpartition("scan:")[0]
        self._number = 100_000
        pattern.close("USER_ABORT")

    @property
    def document_bytes(self) -> int:
        """Size of the document of each scan."""
        return len(json.dumps(self._document))

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
        pipeline.execute_command("JSON.SET", key, "$", json.dumps(document))
        pipeline.xadd("_SCAN_HISTORY_", {"key": key}, maxlen=2048)
        pipeline.xadd(state_key, {"state": _CREATED})
        sent = time.perf_counter()
        pipeline.execute()
        return Creation(key, name, sent, time.perf_counter(), state_key)

    def end(self, creation: Creation) -> None:
        """End a scan, as one that was aborted before it was prepared."""
        pipeline = self._client.pipeline(transaction=True)
        pipeline.execute_command(
            "JSON.SET", creation.key, "$.info.end_reason", json.dumps("USER_ABORT")
        )
        pipeline.xadd(creation.state_key, {"state": _CLOSED})
        pipeline.execute()

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()
