"""What the main loops take, as counts, and the budgets that they keep.

python -m tests.speed.measure            # the figures beside the budgets
python -m tests.speed.measure --write    # after an improvement: budgets 5 % above the figures
"""

import json
import sys
import tempfile
from pathlib import Path
from statistics import mean

import redis
from tests.speed.loops import Loops, Whole, loops, steady_commit, whole_scan

from nexus_writer_service.testing.redis_server import RedisServer, initialise

BUDGETS = Path(__file__).with_name("budgets.json")
MARGIN = 1.05
_LEAST_MARGIN = 0.1
_SHORT_SCANS = 6
_PATH = 140

Figures = dict[str, float]


def figures(url: str) -> Figures:
    """Everything that has a budget, by name.

    Args:
        url: of an empty database that is set up for scans.
    """
    with tempfile.TemporaryDirectory() as temporary:
        # Files hold their path.
        folder = Path(temporary) / ("x" * max(1, _PATH - len(temporary)))
        return _figures(url, folder)


def _figures(url: str, folder: Path) -> Figures:
    with loops(url, folder) as one:
        # The first scan of a process makes what all others share.
        whole_scan(one, 2, 4, block=1)
        found = _entries(one)
        found |= _channels(one)
        found |= _short_scan(one)
        found |= _commits(one)
        found |= _rounds(one, url)
    return found


def _entries(one: Loops) -> Figures:
    """Two lengths of the same scan: what one costs more than the other is for the entries."""
    found: Figures = {}
    for name, block, points in (("entry of one point", 1, 300), ("entry of 100", 100, 10_000)):
        few = whole_scan(one, 10, points, block=block)
        many = whole_scan(one, 10, 3 * points, block=block)
        # With the timer's two channels.
        entries = 12 * 2 * points // block
        ingest, write = _more(few, many)
        found |= {
            f"{name}: instructions to read it": ingest / entries,
            f"{name}: instructions to write it": write / entries,
            f"{name}: C calls to read it": (many.ingest.calls - few.ingest.calls) / entries,
        }
    return found


def _channels(one: Loops) -> Figures:
    """What a scan of more channels costs more is for the channels."""
    few = whole_scan(one, 20, 10, block=1)
    many = whole_scan(one, 120, 10, block=1)
    ingest, write = _more(few, many)
    return {
        "channel: instructions to follow it": ingest / 100,
        "channel: instructions to create, write and end it": write / 100,
        "channel: bytes written": (many.bytes - few.bytes) / 100,
    }


def _short_scan(one: Loops) -> Figures:
    """The mean of some: where in the file a scan comes to lie makes a difference."""
    scans = [whole_scan(one, 2, 10, block=1) for _ in range(_SHORT_SCANS)]
    return {
        "short scan: instructions to follow it": mean(one.ingest.instructions for one in scans),
        "short scan: instructions to write it": mean(one.write.instructions for one in scans),
        "short scan: bytes written": mean(one.bytes for one in scans),
    }


def _commits(one: Loops) -> Figures:
    found: Figures = {}
    for name, gzip in (("commit", False), ("commit with gzip", True)):
        few, many = (steady_commit(one, channels, gzip=gzip) for channels in (10, 60))
        instructions = many.write.instructions - few.write.instructions
        found |= {
            f"{name}: instructions": few.write.instructions,
            f"{name}: instructions for each channel more": instructions / 50,
            f"{name}: bytes written": few.bytes,
            f"{name}: bytes written for each channel more": (many.bytes - few.bytes) / 50,
            f"{name}: calls of the system to write": few.writes,
        }
    return found


def _rounds(one: Loops, url: str) -> Figures:
    """What a scan asks of Redis that is over when it is found."""
    with redis.Redis.from_url(url) as client:
        one.session.chunk_options = {}
        one.session.channel_scan([], 10, counters=("diode1", "diode2"))
        client.config_resetstat()
        ended = one.ended
        reads = one.reads
        while one.ended == ended:
            one.feed(one.read())
        one.commit()
        stats = client.info("commandstats")
    commands = sum(
        about["calls"] for name, about in stats.items() if name != "cmdstat_config|resetstat"
    )
    return {"short scan: commands to Redis": commands, "short scan: reads": one.reads - reads}


def _more(few: Whole, many: Whole) -> tuple[int, int]:
    """Instructions of ingest and of writing that one scan took more than another."""
    return (
        many.ingest.instructions - few.ingest.instructions,
        many.write.instructions - few.write.instructions,
    )


def budgets() -> Figures:
    """The most that each figure may be, counted with Python 3.11."""
    found: Figures = json.loads(BUDGETS.read_text())
    return found


def main() -> None:
    """Print figures and budgets, or write new budgets."""
    with RedisServer() as server:
        initialise(server.url)
        found = figures(server.url)
    old = budgets() if BUDGETS.exists() else {}
    for name, value in found.items():
        print(f"{name:52} {value:12,.1f}   budget {old.get(name, float('nan')):12,.1f}")
    if "--write" in sys.argv:
        new = {
            name: round(max(MARGIN * value, value + _LEAST_MARGIN), 1)
            for name, value in found.items()
        }
        BUDGETS.write_text(json.dumps(new, indent=1) + "\n")


if __name__ == "__main__":
    main()
