"""What BLISS 1.11 wrote into Redis, scan by scan, written again by tests.

``tests/data/bliss1/recordings/<kind>.jsonl.gz`` holds the commands of one kind of scans (made by
``tests/lab/bliss111/record.py``); ``listings/<kind>.json`` what the writer of BLISS 1.11 made of
them.
"""

import gzip
import json
import pickle
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import redis

from nexus_writer_service.sources.bliss1.pickles import is_pickle, load
from nexus_writer_service.sources.bliss1.store import database_url

DATA = Path(__file__).parent / "data" / "bliss1"
RECORDED_ROOT = "/".join(["", "tmp", "bliss1"])
"""Where the recorded sessions saved."""

Command = list[bytes]


def kinds() -> list[str]:
    return sorted(path.name.partition(".")[0] for path in (DATA / "recordings").iterdir())


@cache
def _recorded(kind: str) -> tuple[tuple[bytes, ...], ...]:
    text = gzip.decompress((DATA / "recordings" / f"{kind}.jsonl.gz").read_bytes()).decode()
    return tuple(
        tuple(one.encode("latin-1") for one in json.loads(line)) for line in text.splitlines()
    )


def recording(kind: str, root: Path | None = None) -> list[Command]:
    """The commands of a kind, with the files below ``root`` instead of where they were."""
    commands = [list(one) for one in _recorded(kind)]
    if root is not None:
        for command in commands:
            if command[0] == b"HSET":
                for place in range(3, len(command), 2):
                    command[place] = _moved(command[place], root)
    return commands


def _moved(value: bytes, root: Path) -> bytes:
    if not is_pickle(value) or RECORDED_ROOT.encode() not in value:
        return value
    return pickle.dumps(_moved_paths(load(value), root), protocol=4)


def _moved_paths(value: Any, root: Path) -> Any:
    if isinstance(value, str):
        return value.replace(RECORDED_ROOT, str(root))
    if isinstance(value, dict):
        return {key: _moved_paths(one, root) for key, one in value.items()}
    return value


class Bliss1Redis:
    """A database of BLISS 1 that tests write into.

    Args:
        url: of the server.
    """

    def __init__(self, url: str) -> None:
        self.client: redis.Redis[bytes] = redis.Redis.from_url(database_url(url))

    def write(self, commands: Iterable[Command]) -> None:
        """Do what BLISS did."""
        pipeline = self.client.pipeline(transaction=False)
        told = list(commands)
        for command in told:
            pipeline.execute_command(*command)
        for command, answer in zip(told, pipeline.execute(raise_on_error=False), strict=True):
            # A stream is made with an entry 0-1, also where there is one already.
            if isinstance(answer, Exception) and b"0-1" not in command:
                raise answer

    def clear(self) -> None:
        """Forget everything."""
        self.client.flushdb()


def scans_of(kind: str) -> list[str]:
    """The names of the nodes of the scans of a kind, in the order of their creation."""
    return [
        command[1].decode()
        for command in recording(kind)
        if command[0] == b"HSET" and _fields(command).get(b"node_type") in (b"scan", b"scan_group")
    ]


def published(kind: str, scan: str) -> dict[str, list[Any]]:
    """What the entries of each channel of a scan hold, by the channel's full name."""
    names: dict[bytes, str] = {}
    found: dict[str, list[Any]] = {}
    for command in recording(kind):
        key = command[1]
        if command[0] == b"HSET" and key.startswith(f"{scan}:".encode()):
            fields = _fields(command)
            if fields.get(b"node_type") in (b"channel", b"node_ref_channel"):
                names[key] = fields[b"name"].decode()
                found[names[key]] = []
        channel = names.get(key.removesuffix(b"_data"))
        if command[0] == b"XADD" and channel is not None and b"__DATA__" in command:
            fields = dict(_pairs(command[command.index(b"__EVENT__") :]))
            value = load(fields[b"__DATA__"])
            found[channel] += [value] if fields[b"__NPOINTS__"] == b"1" else list(value)
    return found


def _fields(command: Command) -> dict[bytes, bytes]:
    return dict(_pairs(command[2:]))


def _pairs(items: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    return zip(items[::2], items[1::2], strict=True)
