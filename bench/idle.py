"""What writers cost that have nothing to do, and how soon one is there."""

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from bench.samples import Outcome
from bench.writers import Writer, WriterProcess

from nexus_writer_service.errors import WriterError
from nexus_writer_service.testing.redis_server import reset

_SETTLING = 1.0
"""Seconds after the last start before waiting begins to count."""


def idle(writer: Writer, count: int, seconds: float, url: str) -> Outcome:
    """Start writers one after the other, and let them wait for scans that do not come.

    Args:
        writer: which one.
        count: how many, each for a session of its own.
        seconds: how long they wait.
        url: of a database that is emptied.
    """
    reset(url)
    outcome = Outcome()
    starts: list[float] = []
    costs: list[float] = []
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as temporary, ExitStack() as stack:
            processes = []
            for number in range(count):
                folder = Path(temporary) / str(number)
                folder.mkdir()
                begin = time.monotonic()
                one = stack.enter_context(
                    WriterProcess(
                        writer, url, folder, session=f"idle{number}", listeners=number + 1
                    )
                )
                starts.append(time.monotonic() - begin)
                costs.append(one.cpu_seconds)
                processes.append(one)
            time.sleep(_SETTLING)
            before, begin = sum(one.cpu_seconds for one in processes), time.monotonic()
            time.sleep(seconds)
            spent = sum(one.cpu_seconds for one in processes) - before
            outcome.values |= {
                "percent": 100 * spent / (time.monotonic() - begin),
                "start": median(starts),
                "start_cpu": median(costs),
                "resident": median(one.resident_megabytes for one in processes),
            }
    except WriterError as error:
        outcome.problems.append(str(error))
    return outcome
