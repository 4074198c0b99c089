"""The writer under a real RunEngine, with simulated devices."""

import h5py
import pytest
from tests.support_bluesky import values

pytest.importorskip("ophyd")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

from nexus_writer_service.bluesky import NXWriter, replay  # noqa: E402 - only where ophyd is


@pytest.fixture(scope="module")
def engine():
    from bluesky import RunEngine  # noqa: PLC0415 - slow to import

    engine = RunEngine({}, context_managers=[])
    yield engine
    engine._th.join(0) if engine.state == "panicked" else None
    engine.loop.call_soon_threadsafe(engine.loop.stop)


@pytest.fixture
def writer(engine, tmp_path):
    writer = NXWriter()
    writer.file_path = tmp_path
    token = engine.subscribe(writer)
    yield writer
    engine.unsubscribe(token)
    writer.close()


def test_a_scan_and_what_is_replayed_of_it_are_alike(engine, writer, tmp_path):
    from bluesky import plans  # noqa: PLC0415
    from ophyd.sim import det, motor  # noqa: PLC0415

    documents = []
    token = engine.subscribe(lambda name, document: documents.append((name, document)))
    engine(plans.scan([det], motor, -1, 1, 5, md={"title": "five points"}))
    engine.unsubscribe(token)
    (live,) = writer.wait_writer()
    assert live.ok
    writer.file_name = tmp_path / "replayed.h5"
    replay([documents], writer.receiver)  # which waits for the file
    again = writer.results[-1]
    assert again.ok
    with h5py.File(live.file) as one, h5py.File(again.file) as other:
        names: list[str] = []
        others: list[str] = []
        one.visit(names.append)
        other.visit(others.append)
        assert names == others
        assert one["entry/title"].asstr()[()] == "five points"
        assert (
            values(one, "motor").tolist()
            == values(other, "motor").tolist()
            == [-1, -0.5, 0, 0.5, 1]
        )


def test_a_grid_is_a_grid(engine, writer):
    from bluesky import plans  # noqa: PLC0415
    from ophyd.sim import det4, motor1, motor2  # noqa: PLC0415

    engine(plans.grid_scan([det4], motor1, 0, 2, 3, motor2, 0, 3, 4, snake_axes=True))
    (result,) = writer.wait_writer()
    assert result.ok
    with h5py.File(result.file) as file:
        assert file["entry"].attrs["default"] == "grid"
        grid = file["entry/grid"]
        assert list(grid.attrs["axes"]) == ["motor1", "motor2"]
        assert grid["motor1"][()].tolist() == [0, 1, 2]
        assert grid["motor2"][()].tolist() == [0, 1, 2, 3]
        flat = {
            (x, y): value
            for x, y, value in zip(
                values(file, "motor1"), values(file, "motor2"), values(file, "det4"), strict=True
            )
        }
        shown = grid["det4"][()]
        assert all(shown[int(x), int(y)] == value for (x, y), value in flat.items())


def test_a_run_within_a_run_has_a_file_of_its_own(engine, writer):
    from bluesky import plan_stubs, plans, preprocessors  # noqa: PLC0415
    from ophyd.sim import det, motor  # noqa: PLC0415

    def nested():
        @preprocessors.set_run_key_decorator("outer")
        @preprocessors.run_decorator(md={"plan_name": "outer"})
        def outer():
            yield from plan_stubs.trigger_and_read([det])
            yield from preprocessors.set_run_key_wrapper(plans.scan([det], motor, 0, 1, 3), "inner")
            yield from plan_stubs.trigger_and_read([det])

        yield from outer()

    engine(nested())
    results = writer.wait_writer()
    assert [result.ok for result in results] == [True, True]
    lengths = []
    for result in results:
        with h5py.File(result.file) as file:
            lengths.append(len(values(file, "det")))
    assert sorted(lengths) == [2, 3]


def test_a_plan_that_fails_says_so_in_its_file(engine, writer):
    from bluesky import plan_stubs, preprocessors  # noqa: PLC0415
    from ophyd.sim import det  # noqa: PLC0415

    @preprocessors.run_decorator(md={"plan_name": "failing"})
    def failing():
        yield from plan_stubs.trigger_and_read([det])
        raise ValueError("no beam")

    with pytest.raises(ValueError, match="no beam"):
        engine(failing())
    (result,) = writer.wait_writer()
    assert result.ok  # all that was measured is in the file
    with h5py.File(result.file) as file:
        stop = file["entry/instrument/bluesky/run_stop"]
        assert stop["exit_status"].asstr()[()] == "fail"
        assert stop["reason"].asstr()[()] == "no beam"
