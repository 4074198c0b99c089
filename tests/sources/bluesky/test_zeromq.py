"""Documents through bluesky's proxy and publisher."""

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bluesky.callbacks.zmq import Publisher
from tests.support_bluesky_proxy import ProxyPorts, running_proxy
from tests.support_recordings import recorded
from tests.support_waiting import wait_for

from nexus_writer_service.errors import DecodeError, SettingsError
from nexus_writer_service.sources.bluesky.encoding import pack, to_json
from nexus_writer_service.sources.bluesky.zeromq import Subscription, decode


@pytest.fixture
def proxy() -> Iterator[ProxyPorts]:
    with running_proxy() as ports:
        yield ports


def as_json(doc: Any) -> bytes:
    return json.dumps(to_json(doc)).encode()


def heard_through(proxy: ProxyPorts, documents: list[Any], serializer: Any) -> list[Any]:
    """What a subscriber hears of the documents; it has heard a first one before."""
    publisher = Publisher(("127.0.0.1", proxy.into), prefix=b"ours", serializer=serializer)
    other = Publisher(("127.0.0.1", proxy.into), prefix=b"ours2", serializer=serializer)
    with Subscription(f"127.0.0.1:{proxy.out}", "ours") as subscription:

        def connected() -> bool:
            other("start", {"uid": "other"})
            publisher("start", {"uid": "knock"})
            return subscription.read(0.05) is not None

        wait_for(connected, what="a subscription")
        for name, doc in documents:
            publisher(name, doc)
        publisher("stop", {"uid": "end"})
        heard = []
        while (pair := subscription.read(20.0)) != ("stop", {"uid": "end"}):
            assert pair is not None
            if pair[1] != {"uid": "knock"}:
                heard.append(pair)
    publisher.close()
    other.close()
    return heard


@pytest.mark.parametrize("serializer", [pack, as_json])
def test_what_bluesky_publishes_is_heard_unchanged(
    proxy: ProxyPorts, tmp_path: Path, serializer: Any
) -> None:
    documents = list(recorded("arrays_in_events", tmp_path))
    assert repr(heard_through(proxy, documents, serializer)) == repr(documents)


def test_pickles_are_refused_and_not_run(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "harm",)

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(DecodeError):
            decode(b" start " + pickle.dumps({"uid": Harm()}, protocol))
    with pytest.raises(DecodeError, match="serializer="):
        decode(b" start " + pickle.dumps({"uid": "a"}))
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    "message", [b"", b"start", b" start", b" start [1]", b" start {", b" a \xc1"]
)
def test_what_is_no_document_is_an_error(message: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(message)


def test_an_address_that_means_nothing_is_a_settings_error() -> None:
    with pytest.raises(SettingsError, match="nowhere"):
        Subscription("nowhere")
