"""A Beacon server, as far as it tells where Redis is."""

import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

OK, FAILED = 34, 33
_REDIS_DATA_SERVER = 32


@contextmanager
def free_address() -> Iterator[str]:
    """An address of this machine at which nobody listens, and nobody else can."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@contextmanager
def beacon(answer: bytes, *, kind: int = OK, address: str = "127.0.0.1:0") -> Iterator[str]:
    """A server that gives this answer when asked for the database of scans; yields its address."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            question, length = struct.unpack("<ii", self.request.recv(8))
            key, _ = self.request.recv(length).split(b"|")
            assert question == _REDIS_DATA_SERVER
            content = key + b"|" + answer
            self.request.sendall(struct.pack("<ii", kind, len(content)) + content)

    class Server(socketserver.TCPServer):
        allow_reuse_address = True

    host, port = address.split(":")
    with Server((host, int(port)), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield "{}:{}".format(*server.server_address)
        finally:
            server.shutdown()
            thread.join()
