"""Who has a lease, as its key says: for people, and so that its death can be told for certain."""

import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process, such that others on its machine can tell for certain that it has died."""

    boot: str
    """Of the machine's kernel, since its start."""
    pid_namespace: str
    """In which the pid counts: two containers on a machine have one each."""
    pid: int
    started: str
    """In ticks of the kernel: a pid that is used again has another one."""

    @staticmethod
    def own() -> "ProcessIdentity | None":
        """That of this process; None where the kernel does not tell."""
        place = _own_place()
        started = _start_of(os.getpid())
        return ProcessIdentity(*place, os.getpid(), started) if place and started else None

    def dead(self) -> bool:
        """Whether it is certain that it has ended; False also when that cannot be known."""
        if (self.boot, self.pid_namespace) != _own_place():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        started = _start_of(self.pid)
        # Unreadable means that /proc hides the processes of others, not that it is gone.
        return started is not None and started != self.started


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a lease."""

    owner: str
    """For people."""
    token: str
    """Two who ask are never equal, even in the same process."""
    process: ProcessIdentity | None

    @staticmethod
    def this_process(owner: str) -> "Holder":
        """One who asks, in this process."""
        return Holder(owner, secrets.token_hex(8), ProcessIdentity.own())

    @staticmethod
    def decoded(value: bytes) -> "Holder":
        """What a key holds; what cannot be understood is a holder of whom nothing is known."""
        try:
            content = json.loads(value)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            content = {}
        owner = content.get("owner")
        known = owner if isinstance(owner, str) else "somebody who left no name"
        return Holder(known, str(content.get("token")), _process(content.get("process")))

    def encoded(self) -> bytes:
        """What a key is to hold."""
        process = asdict(self.process) if self.process else None
        content = {"owner": self.owner, "token": self.token, "process": process}
        return json.dumps(content).encode()

    def dead(self) -> bool:
        """Whether it is certain that its process has ended."""
        return self.process is not None and self.process.dead()


def owner_text(serving: str, since: datetime) -> str:
    """This process as the owner of a lease.

    Args:
        serving: what it serves the session with: the name of a device, or of a command.
        since: when it started to.
    """
    host = socket.gethostname()
    return f"{serving} (process {os.getpid()} on {host}, since {since:%Y-%m-%d %H:%M:%S})"


def _process(content: Any) -> ProcessIdentity | None:
    match content:
        case {
            "boot": str() as boot,
            "pid_namespace": str() as namespace,
            "pid": int() as pid,
            "started": str() as started,
        } if pid > 0:
            return ProcessIdentity(boot, namespace, pid, started)
    return None


def _own_place() -> tuple[str, str] | None:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return boot, os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def _start_of(pid: int) -> str | None:
    """When a process started; None when /proc does not tell, ``"over"`` for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "over" if fields[0] in "ZX" else fields[19]
