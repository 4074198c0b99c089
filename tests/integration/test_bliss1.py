"""Scans of BLISS 1.11 from Redis to files, as the lab recorded them."""

import pickle
import random
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.support_bliss1 import Bliss1Redis, Command, recording, scans_of
from tests.support_bliss1_files import bliss1_writer, missing_channels
from tests.support_waiting import wait_for

from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.service.history import History

pytestmark = pytest.mark.integration

KINDS = [
    *("loopscan", "ascan", "mca", "amesh", "statistics", "sequence", "parallel", "aborted"),
    *("failed", "esrf_policy"),
]


@pytest.fixture
def bliss1(redis_url: str) -> Bliss1Redis:
    database = Bliss1Redis(redis_url)
    database.clear()
    return database


def session_of(kind: str) -> str:
    return "esrf_session" if kind == "esrf_policy" else "test_session"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("late", [False, True], ids=["live", "late"])
def test_every_point_of_every_scan_is_in_its_file(
    bliss1: Bliss1Redis, redis_url: str, tmp_path: Path, kind: str, *, late: bool
) -> None:
    commands = recording(kind, tmp_path)
    if late:
        bliss1.write(commands)
    with bliss1_writer(redis_url, session_of(kind)) as writer:
        for command in [] if late else commands:
            bliss1.write([command])
        for node in scans_of(kind):
            verdict = writer.verdict(node)
            assert verdict.outcome is Outcome.COMPLETE, verdict.summary
            status = writer.status(node)
            assert status is not None
            assert status.file is not None
            (entry,) = status.entries
            lacking = missing_channels(kind, node, Path(status.file), entry)
            # The names of nodes are not stored: a sequence has a record of its scans.
            assert [name for name in lacking if name != "scans"] == []


@pytest.mark.parametrize(
    ("kind", "reason"), [("ascan", "SUCCESS"), ("aborted", "USER_ABORT"), ("failed", "FAILURE")]
)
def test_the_entry_says_how_the_scan_ended(
    bliss1: Bliss1Redis, redis_url: str, tmp_path: Path, kind: str, reason: str
) -> None:
    with bliss1_writer(redis_url) as writer:
        bliss1.write(recording(kind, tmp_path))
        (node,) = scans_of(kind)
        writer.verdict(node)
    with h5py.File(tmp_path / kind / "test_session" / f"{kind}.h5", "r") as file:
        assert file["1.1/end_reason"].asstr()[()] == reason


def _lima(scan: str, folder: Path) -> tuple[list[Command], list[Command]]:
    """What BLISS 1 publishes of a camera with five frames, three in a file: nodes, and progress."""
    folder.mkdir(parents=True)
    pixels = np.arange(5 * 6, dtype="u2").reshape(5, 2, 3)
    for number, frames in enumerate((pixels[:3], pixels[3:])):
        with h5py.File(folder / f"cam_{number:04d}.h5", "w") as file:
            file["entry_0000/instrument/cam/data"] = frames
    parent, node = f"{scan}:timer", f"{scan}:timer:cam:image"
    info = {
        "fullname": "cam:image",
        "dtype": np.uint16,
        "shape": (1, 2, 3),
        "unit": None,
        "saving_mode": "AUTO_FRAME",
        "saving_format": "HDF5",
        "saving_directory": str(folder),
        "saving_prefix": "cam_",
        "saving_suffix": ".h5",
        "saving_index_format": "%04d",
        "saving_next_number": 0,
        "saving_frame_per_file": 3,
        "saving_frame_per_acquisition": 5,
        "lima_version": "1.9.20",
        "user_instrument_name": "instrument",
        "user_detector_name": "cam",
    }
    pairs = [part for name, one in info.items() for part in (name, pickle.dumps(one, protocol=4))]
    nodes: list[list[bytes | str]] = [
        ["HSET", f"{node}_info", *pairs],
        ["HSET", node, "version", "v1.1", "node_type", "lima", "name", "cam:image"],
        ["XADD", f"{node}_data", "0-1", "key", "value"],
        ["XDEL", f"{node}_data", "0-1"],
        ["XADD", f"{parent}_children_list", "*", "__EVENT__", "NEW_NODE", "db_name", node],
    ]
    progress: list[list[bytes | str]] = []
    for number, (ready, saved) in enumerate([(0, -1), (3, 2), (4, 4)], 1):
        status = {"server_url": "cam", "last_image_ready": ready, "last_image_saved": saved}
        said = pickle.dumps(status, protocol=4)
        event: list[bytes | str] = ["__EVENT__", "LIMAIMAGESTATUS", "__STATUS__", said]
        progress.append(["XADD", f"{node}_data", str(number), *event])
    return _as_bytes(nodes), _as_bytes(progress)


def _as_bytes(commands: list[list[bytes | str]]) -> list[Command]:
    return [[p.encode() if isinstance(p, str) else p for p in one] for one in commands]


@pytest.mark.parametrize("late", [False, True], ids=["live", "late"])
def test_frames_of_a_lima_server_are_read_through_the_file(
    bliss1: Bliss1Redis, redis_url: str, tmp_path: Path, *, late: bool
) -> None:
    commands = recording("loopscan", tmp_path)
    (node,) = scans_of("loopscan")
    nodes, progress = _lima(node, tmp_path / "loopscan" / "test_session" / "scan0001")
    (prepared,) = [n for n, one in enumerate(commands) if b"PREPARED_SCAN" in one]
    (end,) = [n for n, one in enumerate(commands) if b"END_SCAN" in one]
    story = [*commands[:prepared], *nodes, *commands[prepared:end], *progress, *commands[end:]]
    if late:
        bliss1.write(story)
    with bliss1_writer(redis_url) as writer:
        for command in [] if late else story:
            bliss1.write([command])
        verdict = writer.verdict(node)
        assert verdict.outcome is Outcome.COMPLETE, verdict.summary
    file = tmp_path / "loopscan" / "test_session" / "loopscan.h5"
    with h5py.File(file, "r") as root:
        pixels = root["1.1/measurement/image"]
        np.testing.assert_array_equal(pixels, np.arange(30).reshape(5, 2, 3))


def test_the_sample_of_a_dataset_is_that_of_its_collection(
    bliss1: Bliss1Redis, redis_url: str, tmp_path: Path
) -> None:
    bliss1.write(recording("esrf_policy", tmp_path))
    with bliss1_writer(redis_url, "esrf_session") as writer:
        for node in scans_of("esrf_policy"):
            writer.verdict(node)
    (path, _) = sorted(tmp_path.rglob("sample1_ds*.h5"))
    with h5py.File(path, "r") as file:
        assert file["1.1/sample/name"].asstr()[()] == "sample1"


def test_a_scan_that_is_not_to_be_saved_leaves_no_file(
    bliss1: Bliss1Redis, redis_url: str, tmp_path: Path
) -> None:
    with bliss1_writer(redis_url) as writer:
        bliss1.write(recording("ct", tmp_path))
        (node,) = scans_of("ct")
        wait_for(lambda: (status := writer.status(node)) and status.over, what="end of the ct")
        assert list(tmp_path.rglob("*.h5")) == []


def _cut(commands: list[Command], scan: str, share: float) -> int:
    """Where a share of the data of a scan has been published."""
    data = [
        place
        for place, command in enumerate(commands)
        if command[0] == b"XADD" and command[1].startswith(scan.encode()) and b"__DATA__" in command
    ]
    return data[int(share * (len(data) - 1))]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 1.0])
def test_a_writer_that_is_started_again_goes_on(
    bliss1: Bliss1Redis, redis_url: str, tmp_path: Path, share: float
) -> None:
    commands = recording("ascan", tmp_path)
    (node,) = scans_of("ascan")
    cut, history = _cut(commands, node, share), tmp_path / "history.sqlite"
    with bliss1_writer(redis_url, history=history) as writer:
        bliss1.write(commands[:cut])
        wait_for(lambda: (status := writer.status(node)) and status.entries, what="an entry")
    bliss1.write(commands[cut:])
    with bliss1_writer(redis_url, history=history) as writer:
        verdict = writer.verdict(node)
        assert verdict.outcome is Outcome.COMPLETE, verdict.summary
    file = tmp_path / "ascan" / "test_session" / "ascan.h5"
    assert missing_channels("ascan", node, file, "1.1") == []


def test_a_scan_that_was_saved_is_not_saved_again(
    bliss1: Bliss1Redis, redis_url: str, tmp_path: Path
) -> None:
    history = tmp_path / "history.sqlite"
    bliss1.write(recording("loopscan", tmp_path))
    (node,) = scans_of("loopscan")
    with bliss1_writer(redis_url, history=history) as writer:
        writer.verdict(node)
    with bliss1_writer(redis_url, history=history) as writer:
        bliss1.write(recording("ascan", tmp_path))
        (other,) = scans_of("ascan")
        writer.verdict(other)
        assert writer.status(node) is None


def test_a_scan_that_expired_while_the_writer_was_away_ends_with_what_there_is(
    bliss1: Bliss1Redis, redis_url: str, tmp_path: Path
) -> None:
    commands = recording("ascan", tmp_path)
    (node,) = scans_of("ascan")
    cut, history = _cut(commands, node, 0.5), tmp_path / "history.sqlite"
    with bliss1_writer(redis_url, history=history) as writer:
        bliss1.write(commands[:cut])
        wait_for(lambda: (status := writer.status(node)) and status.entries, what="an entry")
    bliss1.client.delete(*bliss1.client.keys(f"{node}*"))

    def over() -> bool:
        (scan,) = History(history).scans("test_session")
        return scan.ended is not None and scan.verdict.outcome is Outcome.INCOMPLETE

    with bliss1_writer(redis_url, history=history):
        wait_for(over, what="the verdict")
    (scan,) = History(history).scans("test_session")
    assert "no longer in Redis" in scan.verdict.summary


def test_channels_that_expired_are_named_in_the_verdict(
    bliss1: Bliss1Redis, redis_url: str, tmp_path: Path
) -> None:
    bliss1.write(recording("ascan", tmp_path))
    (node,) = scans_of("ascan")
    bliss1.client.delete(*bliss1.client.keys(f"{node}:*"))
    with bliss1_writer(redis_url) as writer:
        verdict = writer.verdict(node)
    assert verdict.outcome is Outcome.INCOMPLETE
    assert any("axis:robx" in reason for reason in (verdict.summary, *verdict.reasons))


def test_a_hostile_value_costs_its_channel_and_runs_nothing(
    bliss1: Bliss1Redis, redis_url: str, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    hostile = b"\x80\x02cos\nsystem\n(X%c\x00\x00\x00touch %btR." % (6 + len(str(trace)), b"%b")
    hostile = hostile.replace(b"%b", str(trace).encode())
    commands = recording("ascan", tmp_path)
    (node,) = scans_of("ascan")
    for command in commands:
        if command[1].endswith(b"diode1_data") and b"__DATA__" in command:
            command[-1] = hostile
    with bliss1_writer(redis_url) as writer:
        bliss1.write(commands)
        verdict = writer.verdict(node)
    assert not trace.exists()
    assert verdict.outcome is Outcome.INCOMPLETE
    assert any("os.system" in text and "diode1" in text for text in verdict.reasons)
    file = tmp_path / "ascan" / "test_session" / "ascan.h5"
    lacking = missing_channels("ascan", node, file, "1.1")
    assert lacking == ["simulation_diode_sampling_controller:diode1"]


@pytest.mark.parametrize("seed", range(4))
def test_scans_at_a_time_do_not_mix(
    bliss1: Bliss1Redis, redis_url: str, tmp_path: Path, seed: int
) -> None:
    """Commands of four scans in any order that keeps each scan's own."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    kinds = ["ascan", "loopscan", "amesh", "aborted"]
    left = {kind: recording(kind, tmp_path) for kind in kinds}
    with bliss1_writer(redis_url) as writer:
        while left:
            kind = chance.choice(sorted(left))
            count = chance.randint(1, 30)
            bliss1.write(left[kind][:count])
            left[kind] = left[kind][count:]
            if not left[kind]:
                del left[kind]
        for kind in kinds:
            (node,) = scans_of(kind)
            assert writer.verdict(node).outcome is Outcome.COMPLETE
            file = tmp_path / kind / "test_session" / f"{kind}.h5"
            assert missing_channels(kind, node, file, "1.1") == []
