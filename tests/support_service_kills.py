"""A writer process that is killed again and again while scans are published."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Self

import h5py
from tests.support_same_file import differences
from tests.support_waiting import wait_for

from nexus_writer_service.errors import FileError
from nexus_writer_service.hdf5.journal import START, journal_path
from nexus_writer_service.hdf5.record import decode
from nexus_writer_service.hdf5.recovery import recover
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.verdict import Outcome, Verdict
from nexus_writer_service.service.history import History
from nexus_writer_service.testing.simulation import (
    Camera,
    ScanRecord,
    SimulatedSession,
    designs,
    devices,
)

Design = Callable[[designs.Setting], designs.ScanDesign]
_PERIOD = 0.03
_KINDS: tuple[tuple[str, Design], ...] = (
    ("loopscan", lambda setting: designs.loopscan(setting, 200)),
    ("mca", lambda setting: designs.mca(setting, 100, devices.mca())),
    (
        "amesh",
        lambda setting: designs.amesh(
            setting, designs.MeshAxis("robx", 0, 1, 19), designs.MeshAxis("roby", 0, 1, 9)
        ),
    ),
    ("camera", lambda setting: designs.camera(setting, 100, Camera())),
    ("two_top_masters", lambda setting: designs.two_top_masters(setting, 150, 50)),
)
FEW_KINDS: Final[tuple[tuple[str, Design], ...]] = (
    ("mca", lambda setting: designs.mca(setting, 60, devices.mca())),
    ("camera", lambda setting: designs.camera(setting, 60, Camera())),
)
"""For tests that are to be short."""


@contextmanager
def writer(url: str, folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A writer as its own process, once it listens; killed at the end if it still lives."""
    semaphore = folder / "listening"
    semaphore.unlink(missing_ok=True)
    command = [
        str(Path(sys.executable).with_name("NexusSessionWriter")),
        "test_session",
        f"--start_semaphore_file={semaphore}",
        "--required_disk_space=0",
        "--recommended_disk_space=0",
        # The reader of these tests walks through a file of many scans, on a busy machine.
        "--reader_patience=30",
        *options,
    ]
    with (folder / "writer.log").open("a") as log:
        process = subprocess.Popen(
            command, env={**os.environ, "REDIS_DATA_URL": url}, stdout=log, stderr=log, text=True
        )
    try:
        wait_for(lambda: semaphore.exists() or process.poll() is not None, what="listening")
        yield process
    finally:
        process.kill()
        process.wait(30)


@dataclass
class Campaign:
    """Publishes scans in parallel until it is told to end, and keeps what was published."""

    session: SimulatedSession
    kinds: Sequence[tuple[str, Design]] = _KINDS
    records: list[ScanRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._enough = threading.Event()
        self._errors: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._publish, args=(design,), name=name)
            for name, design in self.kinds
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()
        assert self._errors == []

    def pause(self, seconds: float) -> None:
        """Let scans go on for a while."""
        self._enough.wait(seconds)

    def _publish(self, design: Design) -> None:
        try:
            while not self._enough.is_set():
                with self.session.open(design, period=_PERIOD) as scan:
                    self.records.append(scan.record)
                    scan.run()
        except BaseException as error:  # noqa: BLE001 - it belongs to the main thread
            self._errors.append(error)


def lengths(path: Path) -> dict[str, int]:
    """Points of each stream dataset, as a plain reader finds them; empty without a file.

    The reader is a process of its own: here it would take turns with those who publish, and stay
    inside for longer than any patience.
    """
    if not path.exists() or not path.stat().st_size:
        return {}
    done = subprocess.run(
        [sys.executable, "-c", _READER, str(path)],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


_READER: Final = """
import json, sys, h5py

found = {}

def look(name, thing):
    if isinstance(thing, h5py.Dataset) and thing.chunks:
        found[name] = len(thing)

with h5py.File(sys.argv[1], "r") as file:
    file.visititems(look)
print(json.dumps(found))
"""


def _waits_in_journal(path: Path) -> bool:
    """Whether a commit is in the journal and may not be in the file."""
    try:
        data = Path(journal_path(str(path))).read_bytes()
    except FileNotFoundError:
        return False
    return any(decode(data[START:]))


def _file(records: Sequence[ScanRecord]) -> Path:
    path = records[0].path
    assert path is not None
    return path


def kill_again_and_again(
    url: str, campaign: Campaign, folder: Path, *, kills: int, seed: int, options: Sequence[str]
) -> int:
    """Kill writers at random instants; what a reader had seen must be there each time.

    Returns:
        How many times a journal had to be replayed.
    """
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    replayed = 0
    for number in range(kills):
        with writer(url, folder, *options) as process:
            campaign.pause(chance.uniform(0.0, 1.0))
            path = _file(campaign.records)
            seen = lengths(path)
            # While a reader is inside, commits wait in the journal.
            inside = bool(number % 2 and seen)
            with h5py.File(path) if inside else nullcontext():
                if inside:
                    wait_for(partial(_waits_in_journal, path), what="a commit that waits")
                campaign.pause(chance.uniform(0.0, 0.3))
                os.kill(process.pid, signal.SIGKILL)
                process.wait(30)
        if path.exists():
            replayed += "replayed" in str(recover(str(path)))
        after = lengths(path)
        lost = {name: (count, after.get(name)) for name, count in seen.items()}
        assert [one for one in lost.items() if (one[1][1] or 0) < one[1][0]] == []
    return replayed


def history_of(folder: Path) -> dict[ScanKey, Verdict]:
    """The verdicts in the history of a folder; none while it is being made."""
    try:
        return {one.key: one.verdict for one in History(folder / "history.sqlite").scans()}
    except FileError:
        return {}


def finish(url: str, records: Sequence[ScanRecord], folder: Path, *options: str) -> None:
    """Let a writer that is not disturbed finish what is left, and end."""
    wanted = {ScanKey(record.key) for record in records}

    def done() -> bool:
        found = history_of(folder)
        return all(key in found and found[key].outcome is Outcome.COMPLETE for key in wanted)

    with writer(url, folder, f"--history={folder / 'history.sqlite'}", *options) as process:
        wait_for(done, timeout=60, what=f"{len(wanted)} complete scans in the history")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def differences_to_undisturbed(
    url: str, records: Sequence[ScanRecord], folder: Path, *options: str
) -> list[str]:
    """In what the files differ from those that an undisturbed writer makes of the same scans."""
    paths = sorted(_file(records).parent.glob("*.h5"))
    kept = [path.rename(path.with_suffix(".disturbed")) for path in paths]
    other = folder / "undisturbed"
    other.mkdir()
    finish(url, records, other, *options)
    # The default entry is the one that ended last, which depends on the order of endings.
    found = [
        f"{path.name}: {one}"
        for before, path in zip(kept, paths, strict=True)
        for one in differences(before, path)
        if not one.startswith("/@default")
    ]
    for before in kept:
        before.unlink()
    return found
