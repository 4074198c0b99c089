"""What systemd would hear of a service."""

import socket


class Listener:
    """The socket of systemd: keeps what it is told."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(10)

    def next(self) -> str:
        """The next message, waited for."""
        return self._socket.recv(4096).decode()

    def waiting(self) -> list[str]:
        """The messages that have come and were not taken yet."""
        messages = []
        self._socket.setblocking(False)
        try:
            while True:
                messages.append(self._socket.recv(4096).decode())
        except BlockingIOError:
            return messages
        finally:
            self._socket.settimeout(10)

    def close(self) -> None:
        self._socket.close()
