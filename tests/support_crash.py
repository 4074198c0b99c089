"""A writer that is killed, and what must then be in its file.

Each case runs in a process forked for it. Every value follows from entry, dataset and index, so
that any file can be checked point by point.
"""

import json
import os
import signal
import sys
import threading
from typing import Any, Literal, get_args

import h5py
import numpy as np

from nexus_writer_service.hdf5.disk import Disk
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.options import FileOptions
from nexus_writer_service.hdf5.recovery import recover
from nexus_writer_service.model.description import ChannelName
from nexus_writer_service.model.tree import Dataset, Filters, Group, Node, SoftLink, StreamDataset
from nexus_writer_service.testing.faults import DeadlyDisk, Moment

Scenario = Literal["alone", "reader inside", "power", "appending"]
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)
STREAMS: dict[str, tuple[Any, tuple[int, ...], dict[str, Any]]] = {
    "plain": ("f8", (), {"chunks": (64,)}),
    "gzip": ("i4", (), {"chunks": (1024,), "filters": Filters(gzip=4)}),
    "spectrum": ("u2", (300,), {"chunks": (4, 300)}),
    "text": (object, (), {"chunks": (32,)}),
}


def values(entry: int, name: str, start: int, stop: int) -> np.ndarray[Any, Any]:
    numbers = np.arange(start, stop) + 1000 * entry
    if name == "text":
        return np.array([f"point {number}" for number in numbers], dtype=object)
    dtype, sample, _ = STREAMS[name]
    return np.broadcast_to(
        numbers.reshape(-1, *(1 for _ in sample)) * 3 % 50_000, (stop - start, *sample)
    ).astype(dtype)


def entry_tree() -> Group:
    children: dict[str, Node] = {
        name: StreamDataset(ChannelName(name), np.dtype(dtype), sample, **options)
        for name, (dtype, sample, options) in STREAMS.items()
    }
    children |= {f"title_{n}": Dataset(f"title {n}", {"units": "mm"}) for n in range(8)}
    children |= {f"link_{n}": SoftLink(f"title_{n}") for n in range(4)}
    return Group(children, {"NX_class": "NXentry"})


def write(file: NexusFile, seed: int, acknowledge: int, commits: int) -> None:
    """Write entries that grow all at once; a line on ``acknowledge`` for each commit."""
    chance = np.random.default_rng(seed)
    lengths: dict[int, int] = {}
    file.merge(Group({}, {"NX_class": "NXroot"}))
    for number in range(commits):
        if number % 3 == 0 and number < 12:
            entry = len(lengths)
            lengths[entry] = 0
            file.merge(Group({f"e{entry}": entry_tree()}))
        for entry, start in lengths.items():
            stop = start + int(chance.integers(1, 40))
            for name in STREAMS:
                file.append(f"/e{entry}/{name}", start, [values(entry, name, start, stop)])
            lengths[entry] = stop
        file.commit()
        os.write(acknowledge, json.dumps(lengths).encode() + b"\n")
        file.poll()
    file.close()


def problems(path: str, promised: dict[str, int]) -> list[str]:
    """What is wrong with a file that must have entries with at least so many points."""
    wrong = []
    with h5py.File(path) as file:
        for entry, count in promised.items():
            for name in STREAMS:
                found = file[f"e{entry}/{name}"]
                stored = found.asstr()[()] if name == "text" else found[()]
                if len(stored) < count:
                    wrong.append(f"{found.name}: {len(stored)} points of {count}")
                elif not np.array_equal(stored, values(int(entry), name, 0, len(stored))):
                    wrong.append(f"{found.name}: wrong values")
        for entry in file.values():
            for name, thing in entry.items():
                if name.startswith(("title", "link")) and not thing.asstr()[()].startswith("title"):
                    wrong.append(f"{thing.name}: wrong")
                if name.startswith("title") and thing.attrs["units"] != "mm":
                    wrong.append(f"{thing.name}: wrong units")
    return wrong


def forked(function: Any, *arguments: Any) -> int:
    """Run in a process of its own; its exit status."""
    pid = os.fork()
    if not pid:
        signal.alarm(60)  # a damaged file can keep HDF5 busy for ever
        try:
            function(*arguments)
        except BaseException:  # noqa: BLE001 - whatever it is, this process must end here
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def run(scenario: Scenario, path: str, disk: Disk | None, seed: int, acknowledge: int) -> None:
    options = FileOptions(durability="power" if scenario == "power" else "process")
    file = NexusFile.open(path, options=options, disk=disk)
    if scenario == "reader inside":
        os.open(path, os.O_RDONLY)
    write(file, seed, acknowledge, 10 if disk else 100_000)


def case(folder: str, seed: int, disk: Disk | None, after: float = 0.0) -> dict[str, Any]:
    """Let a writer die, recover its file, and look."""
    scenario = SCENARIOS[seed % len(SCENARIOS)]
    path = f"{folder}/{seed}.h5"
    said = os.open(f"{path}.said", os.O_RDWR | os.O_CREAT)
    if scenario == "appending":
        with h5py.File(path, "w") as old:
            old.create_group("old")["title_old"] = "title"
            old["old/title_old"].attrs["units"] = "mm"

    def writer() -> None:
        if disk is None:
            threading.Timer(after, os.kill, (os.getpid(), signal.SIGKILL)).start()
        run(scenario, path, disk, seed, said)

    status = forked(writer)
    lines = os.pread(said, 1 << 20, 0).split(b"\n")[:-1]
    os.close(said)
    promised = json.loads(lines[-1]) if lines else {}

    def check() -> None:
        done = recover(path) if os.path.exists(path) else "no file"
        print(seed, scenario, done, flush=True)
        found = problems(path, promised) if promised or os.path.getsize(path) else []
        if found:
            raise AssertionError(found)
        # A writer that starts again goes on with it.
        again = NexusFile.open(path)
        again.merge(Group({"again": Group({"title_again": Dataset("title", {"units": "mm"})})}))
        again.close()
        assert not problems(path, promised)
        assert not os.path.exists(f"{folder}/.{seed}.h5.nxj")

    return {
        "seed": seed,
        "killed": status == signal.SIGKILL,
        "failed": status not in (0, signal.SIGKILL),
        "commits": len(lines),
        "sound": forked(check) == 0,
    }


def disk_of(seed: int) -> DeadlyDisk:
    chance = np.random.default_rng(seed)
    moments: tuple[Moment, ...] = ("data", "journal", "apply", "clear", "truncate", "sync")
    moment = moments[seed // len(SCENARIOS) % len(moments)]
    if seed % 17 == 0:
        moment = "unlink"
    most = {"data": 150, "journal": 10, "apply": 60, "clear": 8, "truncate": 1, "sync": 12}
    return DeadlyDisk(
        moment,
        int(chance.integers(1, most.get(moment, 1) + 1)),
        float(chance.choice([0, 0.3, 0.5, 0.9, 1])),
    )


def main() -> None:
    """Arguments: folder, "steps" or "random", first seed, one beyond the last."""
    folder, kind, first, last = sys.argv[1:]
    results = []
    for seed in range(int(first), int(last)):
        if kind == "steps":
            results.append(case(folder, seed, disk_of(seed)))
        else:
            results.append(
                case(folder, seed, None, np.random.default_rng(seed).uniform(0.01, 0.15))
            )
    with open(f"{folder}/results.json", "w", encoding="utf-8") as out:
        json.dump(results, out)
