"""Documents that bluesky's 0MQ proxy distributes.

A message is a prefix, the name of the document and the document, with blanks between them.
Bluesky's own default is to pickle the document, so that whoever reaches the proxy can run anything
in its subscribers. Here documents are MessagePack or JSON and never executed; the publisher is to
be made with ``Publisher(address, serializer=pack)``.

0MQ keeps nothing: what is published while nobody is subscribed is lost.
"""

import json
from types import TracebackType
from typing import Any, Final, Self

import zmq

from nexus_writer_service.errors import DecodeError, SettingsError
from nexus_writer_service.sources.bluesky.encoding import from_json, unpack
from nexus_writer_service.sources.bluesky.recording import Document

_PICKLES: Final = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))


def decode(message: bytes) -> Document:
    """Name and document of a message.

    Raises:
        DecodeError: it is none, or its document is neither MessagePack nor JSON.
    """
    parts = message.split(b" ", 2)
    if len(parts) < 3:
        raise DecodeError(f"a message has no prefix, name and document: {message[:80]!r}")
    _, name, packed = parts
    doc = _document(packed)
    if not isinstance(doc, dict):
        raise DecodeError(f"a message named {name!r} holds no document, but: {doc!r:.80}")
    return name.decode("ascii", "replace"), doc


def _document(packed: bytes) -> Any:
    if packed.startswith(_PICKLES):
        raise DecodeError(
            "a message is pickled, and reading it could run anything: make the publisher with "
            "serializer=nexus_writer_service.sources.bluesky.encoding.pack"
        )
    if not packed.startswith(b"{"):
        return unpack(packed)
    try:
        return from_json(json.loads(packed))
    except ValueError as error:
        raise DecodeError(f"a message holds no JSON: {error}") from error


class Subscription:
    """Subscribes to a proxy; to be used by one thread.

    The connection is made, and made again, whenever the proxy is there.

    Args:
        address: of the proxy's outgoing side, ``host:port`` or ``tcp://host:port``.
        prefix: only messages of publishers with this prefix; empty: of all.

    Raises:
        SettingsError: the address means nothing to 0MQ.
    """

    def __init__(self, address: str, prefix: str = "") -> None:
        self._prefix = prefix.encode()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        # Nothing is dropped here: what waits, waits in memory.
        self._socket.set_hwm(0)
        # A prefix "a" is not to let in those of "ab".
        self._socket.subscribe(self._prefix + b" " if prefix else b"")
        url = address if "://" in address else f"tcp://{address}"
        try:
            self._socket.connect(url)
        except zmq.ZMQError as error:
            self.close()
            raise SettingsError(f"cannot subscribe to {address}: {error}") from error

    def read(self, timeout: float) -> Document | None:
        """The next document; None when there is none for so many seconds.

        Raises:
            DecodeError: a message that cannot be understood; the next call reads the next one.
        """
        if not self._socket.poll(round(timeout * 1000)):
            return None
        return decode(self._socket.recv())

    def close(self) -> None:
        """End the subscription."""
        self._context.destroy(linger=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
