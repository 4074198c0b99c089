"""What happened while no writer was there is caught up, and what nobody finished is finished."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import h5py
import pytest
import redis
from tests.support_session import check_values
from tests.support_waiting import wait_for
from tests.support_writer_process import writing

from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.service.history import History
from nexus_writer_service.testing.redis_server import URL_VARIABLE, RedisServer, initialise
from nexus_writer_service.testing.simulation import (
    Camera,
    Faults,
    ScanRecord,
    SimulatedScan,
    SimulatedSession,
    designs,
    devices,
)

pytestmark = pytest.mark.integration

DIODE = f"{devices.SAMPLING_CONTROLLER}:diode1"


@pytest.fixture(params=["history", "nohistory"])
def options(request) -> tuple[str, ...]:
    return ("--nohistory",) if request.param == "nohistory" else ()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where the writers of a test keep their state."""
    return tmp_path / "state"


def status_of(record: ScanRecord) -> str:
    """The status that the writer's note of a scan gives to a plain reader."""
    (status,) = statuses([record])
    return status


def statuses(records: Sequence[ScanRecord]) -> list[str]:
    """As ``status_of``, of many scans; a file is opened once: who writes it waits for readers."""
    found = {}
    for path in {record.path for record in records}:
        with suppress(OSError), h5py.File(path, "r") as file:
            for record in records:
                with suppress(KeyError):
                    status = file[record.entries[0]]["writer/status"][()]
                    found[record.key] = status.decode()
    return [found.get(record.key, "") for record in records]


def points_in(record: ScanRecord) -> int:
    try:
        with h5py.File(record.path, "r") as file:
            return len(file[record.channels[DIODE].dataset])
    except (OSError, KeyError):
        return 0


def saved(*records: ScanRecord) -> bool:
    """Whether scans are complete in their files, soon, with all that was published."""
    wait_for(
        lambda: set(statuses(records)) == {"SUCCEEDED"},
        what=f"{[record.name for record in records]} complete",
    )
    for record in records:
        check_values(record)
    return True


def history_of(state: Path) -> Path:
    return state / "nexus_writer_service" / "history.sqlite"


def in_history(state: Path, record: ScanRecord) -> Outcome | None:
    if not history_of(state).exists():
        return None
    (scan,) = History(history_of(state)).find(record.key) or (None,)
    return scan.verdict.outcome if scan else None


def known(state: Path, *records: ScanRecord) -> bool:
    """Whether scans are complete in the history, soon."""
    return wait_for(
        lambda: all(in_history(state, record) is Outcome.COMPLETE for record in records),
        what=f"{[record.name for record in records]} complete in the history",
    )


def begun(session: SimulatedSession, **options) -> SimulatedScan:
    """A scan with 4 of its 10 points in the file."""
    scan = session.open(lambda setting: designs.loopscan(setting, 10), **options)
    scan.prepare()
    scan.start()
    scan.publish(4)
    wait_for(lambda: points_in(scan.record) == 4, what="4 visible points")
    return scan


def end(scan: SimulatedScan) -> ScanRecord:
    scan.publish()
    scan.stop()
    scan.close()
    return scan.record


@pytest.fixture
def session(simulated_session) -> SimulatedSession:
    simulated_session.publisher = "pipeline"
    session: SimulatedSession = simulated_session
    return session


def test_scans_that_were_run_while_no_writer_was_there_are_saved(
    redis_url, session, state, options
):
    records = [
        session.ascan(),
        session.amesh(),
        session.mca(),
        session.camera(3, Camera(shape=(4, 6), frames_per_file=2)),
        session.two_top_masters(),
        session.ascan(abort_after=4),
        session.sequence([lambda sequence: session.loopscan(2, sequence=sequence)]),
    ]
    with writing(redis_url, state, *options):
        assert saved(*records, *records[-1].subscans)
    assert options or known(state, *records)


@pytest.mark.parametrize("ends", ["while the writer is away", "after its restart"])
def test_a_killed_writer_is_taken_up_by_the_next_one(redis_url, session, state, options, ends):
    with writing(redis_url, state, *options) as writer:
        before = session.loopscan(3)
        assert saved(before)
        scan = begun(session)
        writer.kill()
    scan.publish(2)
    if ends == "while the writer is away":
        end(scan)
    meanwhile = [session.loopscan(5), session.amesh(), session.mca()]
    with writing(redis_url, state, *options):
        if ends == "after its restart":
            wait_for(lambda: points_in(scan.record) == 6, what="6 visible points")
            end(scan)
        after = session.loopscan(4)
        assert saved(before, scan.record, *meanwhile, after)
    assert options or known(state, before, scan.record, *meanwhile, after)


def test_a_writer_that_is_killed_twice_is_taken_up_each_time(redis_url, session, state):
    scan = None
    for points in (4, 6, 8):
        with writing(redis_url, state) as writer:
            scan = scan or begun(session)
            wait_for(lambda: points_in(scan.record) >= points)  # noqa: B023 - waited for at once
            writer.kill()
        scan.publish(2)
    assert scan is not None
    end(scan)
    with writing(redis_url, state):
        assert saved(scan.record)
        assert known(state, scan.record)


def test_a_writer_that_is_killed_while_it_catches_up_leaves_the_rest_to_the_next_one(
    redis_url, session, state, options
):
    records = [session.loopscan(20) for _ in range(16)]
    for least in (1, 4, 8):
        with writing(redis_url, state, *options) as writer:
            wait_for(lambda: statuses(records).count("SUCCEEDED") >= least)  # noqa: B023 - waited for at once
            writer.kill()
    with writing(redis_url, state, *options):
        assert saved(*records)
    assert options or known(state, *records)


def test_a_writer_that_was_stopped_in_order_goes_on_when_it_is_started_again(
    redis_url, session, state, options
):
    with writing(redis_url, state, *options) as writer:
        scan = begun(session)
        writer.stop()
        assert f"scan {scan.record.name} suspended" in writer.output
    with writing(redis_url, state, *options):
        end(scan)
        assert saved(scan.record)
    assert options or known(state, scan.record)


def test_files_that_are_complete_are_left_alone(redis_url, session, state, options):
    with writing(redis_url, state, *options):
        records = [session.loopscan(3), session.mca(), session.ascan(abort_after=3)]
        assert saved(*records)
    file = Path(str(records[0].path))
    content, changed = file.read_bytes(), file.stat().st_mtime_ns
    session.filename = "others"
    for _ in range(2):
        # It is the last one to be looked at, so that all have been.
        missed = session.loopscan(2)
        with writing(redis_url, state, *options):
            assert saved(missed)
        assert file.read_bytes() == content
        # Without a history files are opened to see what is in them.
        assert options or file.stat().st_mtime_ns == changed


def test_an_unfinished_scan_that_redis_has_forgotten_is_concluded(redis_url, session, state):
    with writing(redis_url, state) as writer:
        scan = begun(session, faults=Faults(unclosed=True))
        wait_for(lambda: in_history(state, scan.record) is Outcome.RUNNING)
        writer.kill()
    assert status_of(scan.record) == "RUNNING"
    redis.Redis.from_url(redis_url).flushall()
    initialise(redis_url)
    with writing(redis_url, state) as writer:
        wait_for(lambda: status_of(scan.record) == "FAILED", what="concluded")
        wait_for(lambda: in_history(state, scan.record) is Outcome.INCOMPLETE)
        following = session.loopscan(3)
        assert saved(following)
    with h5py.File(scan.record.path, "r") as file:
        told = file[scan.record.entries[0]]["writer/description"][()].decode()
    assert "the writer was away and meanwhile it is no longer in Redis" in told
    assert points_in(scan.record) == 4
    assert "Traceback" not in writer.output


def test_an_unfinished_scan_whose_file_is_gone_is_concluded_in_the_history(
    redis_url, session, state
):
    with writing(redis_url, state) as writer:
        scan = begun(session, faults=Faults(unclosed=True))
        wait_for(lambda: in_history(state, scan.record) is Outcome.RUNNING)
        writer.kill()
    Path(str(scan.record.path)).unlink()
    redis.Redis.from_url(redis_url).delete(scan.record.key)
    with writing(redis_url, state) as writer:
        wait_for(lambda: in_history(state, scan.record) is Outcome.INCOMPLETE)
    assert not Path(str(scan.record.path)).exists()


def test_without_catching_up_only_new_scans_are_saved(redis_url, session, state):
    before = session.loopscan(3)
    session.filename = "others"
    with writing(redis_url, state, "--nocatchup"):
        after = session.loopscan(3)
        assert saved(after)
    assert not Path(str(before.path)).exists()


def test_scans_of_other_writers_that_are_over_are_not_heard_of(redis_url, session, state):
    session.data_writer = "nexus"
    for _ in range(30):
        session.loopscan(1)
    session.data_writer = "external"
    record = session.loopscan(3)
    with writing(redis_url, state) as writer:
        assert saved(record)
    assert writer.output.count(": announced") == 1
    assert "not to be saved here" not in writer.output


def test_a_scan_that_is_going_on_does_not_wait_for_the_others(redis_url, session, state):
    others = [session.loopscan(2) for _ in range(20)]
    with session.open(lambda setting: designs.loopscan(setting, 10)) as scan:
        scan.prepare()
        scan.start()
        scan.publish(4)
        with writing(redis_url, state) as writer:
            wait_for(lambda: points_in(scan.record) == 4, what="4 visible points")
            assert saved(*others)
            end(scan)
            assert saved(scan.record)
    announced = [line for line in writer.output.splitlines() if line.endswith(": announced")]
    assert len(announced) == 21
    assert scan.record.name in announced[0]


def test_a_second_writer_leaves_alone_what_the_first_one_writes(
    redis_url, session, state, monkeypatch
):
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    with writing(redis_url, state), RedisServer() as elsewhere:
        scan = begun(session)
        wait_for(lambda: in_history(state, scan.record) is Outcome.RUNNING)
        # It looks where the scan is not, so that it would conclude it.
        initialise(elsewhere.url)
        options = f"--history={history_of(state)}"
        with writing(elsewhere.url, state / "second", options) as second:
            wait_for(lambda: f"scan {scan.record.name} is left as it is" in second.output)
        assert "another NeXus writer is writing it" in second.output
        assert status_of(scan.record) == "RUNNING"
        assert in_history(state, scan.record) is Outcome.RUNNING
        end(scan)
        assert saved(scan.record)
        assert known(state, scan.record)
