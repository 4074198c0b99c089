"""Program: one Bluesky run through one writer; tells what that took, as JSON.

    python -m bench.bluesky_run WRITER CASE EVENTS RATE FOLDER

WRITER is ``ours``, ``reference`` (apstools), ``h5py`` (ten lists that become datasets at the end)
or ``nothing`` (what making the documents takes). It is run by the Python of the writer's
environment and imports nothing that would count for the one and not for the other.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import bluesky_documents

PATIENCE = 300.0


@dataclass
class Writer:
    """What is measured.

    Attributes:
        receive: takes documents.
        finish: returns when the file is closed.
        file: tells where it is.
    """

    receive: Callable[[str, dict[str, Any]], Any]
    finish: Callable[[], Any]
    file: Callable[[], Path | None]


def ours(folder: Path) -> Writer:
    """NXWriter of this project."""
    from nexus_writer_service.bluesky import NXWriter  # noqa: PLC0415

    writer = NXWriter()
    writer.file_name = str(folder / "ours.h5")
    writer.warn_on_missing_content = False
    return Writer(
        writer.receiver,
        lambda: writer.wait_writer(timeout=PATIENCE),
        lambda: Path(writer.output_nexus_file),
    )


def reference(folder: Path) -> Writer:
    """NXWriter of apstools; what it imports at the first descriptor is imported before."""
    import apstools.utils  # noqa: F401, PLC0415
    from apstools.callbacks import NXWriter  # noqa: PLC0415

    writer = NXWriter()
    writer.file_name = str(folder / "reference.h5")
    writer.warn_on_missing_content = False
    before = set(threading.enumerate())

    def finish() -> None:
        # Its wait_writer looks every half second, which would be measured.
        for thread in set(threading.enumerate()) - before:
            thread.join(PATIENCE)

    return Writer(writer.receiver, finish, lambda: Path(writer.output_nexus_file))


def plain(folder: Path) -> Writer:
    """A few lines of h5py: values are kept, and written when the run stops."""
    import h5py  # noqa: PLC0415

    columns: dict[str, list[Any]] = {}
    times: list[float] = []
    file = folder / "plain.h5"

    def receive(name: str, doc: dict[str, Any]) -> None:
        if name == "event":
            for key, value in doc["data"].items():
                columns.setdefault(key, []).append(value)
            times.append(doc["time"])
        elif name == "stop":
            with h5py.File(file, "w") as root:
                root["time"] = times
                for key, values in columns.items():
                    root[f"entry/instrument/bluesky/streams/primary/{key}/value"] = values

    return Writer(receive, lambda: None, lambda: file)


def nothing(folder: Path) -> Writer:
    """Nobody listens."""
    return Writer(lambda name, doc: None, lambda: None, lambda: None)


def peak() -> float:
    """Largest resident memory so far, in MB."""
    # Unlike getrusage, not that of the process that started this one.
    (line,) = (one for one in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in one)
    return int(line.split()[1]) / 1024


def problem(file: Path | None, case: str, events: int) -> str:
    """What is wrong with the file; empty: nothing."""
    if file is None:
        return ""
    import h5py  # noqa: PLC0415

    with h5py.File(file, "r") as root:
        streams = root["entry/instrument/bluesky/streams/primary"]
        if case == "images":
            shape = streams["cam/value"].shape
            frame = streams["cam/value"][-1].reshape(bluesky_documents.FRAME)
            sound = shape[0] == bluesky_documents.FRAMES and frame[1, 2] == 1026 + events - 1
            return "" if sound else f"images of shape {shape}"
        for signal in range(bluesky_documents.SIGNALS):
            values = streams[f"s{signal}/value"][()]
            expected = [bluesky_documents.value(n, signal) for n in range(1, events + 1)]
            if values.tolist() != expected:
                return f"s{signal} has {len(values)} values, or wrong ones"
    return ""


def main() -> None:
    """Feed, stop, wait, verify, tell."""
    name, case, events, rate, where = sys.argv[1:]
    folder, count = Path(where), int(events)
    made = {"ours": ours, "reference": reference, "h5py": plain, "nothing": nothing}[name]
    if name != "nothing":
        import h5py  # noqa: F401, PLC0415 - not to be counted
    writer = made(folder)
    documents = (
        bluesky_documents.images(folder, float(rate))
        if case == "images"
        else bluesky_documents.scalars(count, float(rate))
    )
    base, cpu, thread = peak(), time.process_time(), time.thread_time()
    stopped = begun = time.perf_counter()
    stopped_cpu = cpu
    for kind, doc in documents:
        if kind == "stop":
            stopped, stopped_cpu = time.perf_counter(), time.process_time()
        writer.receive(kind, doc)
    thread = time.thread_time() - thread
    writer.finish()
    closed = time.perf_counter()
    now = time.process_time()
    cpu, stop_cpu = now - cpu, now - stopped_cpu
    growth = peak() - base
    file = writer.file()
    told = {
        "stop_to_closed": closed - stopped,
        "stop_cpu": stop_cpu,
        "wall": closed - begun,
        "cpu": cpu,
        "engine_cpu": thread,
        "growth": growth,
        "base": base,
        "file_mb": file.stat().st_size / 1e6 if file else 0.0,
        "problem": problem(file, case, count),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
