"""Program: plans of a real RunEngine, each through a writer of its own.

    python -m tests.bluesky_runs FOLDER

Every plan makes ``<name>.h5``, and ``<name>.jsonl`` with the documents. In a process of its own,
since a RunEngine has a thread and an event loop that never end.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky import preprocessors as bpp
from bluesky.callbacks.best_effort import BestEffortCallback
from bluesky.utils import RunEngineInterrupted
from ophyd.sim import NullStatus, det, motor, noisy_det
from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider
from ophyd_async.sim import SimBlobDetector

from nexus_writer_service.bluesky import NXWriter
from nexus_writer_service.sources.bluesky.recording import Recorder

PAGES, PER_PAGE = 10, 10_000
PATIENCE = 60.0
FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()


class Flyer:
    """Collects 100000 events in pages, as fast as a RunEngine takes them."""

    name = "flyer"
    parent = None

    def kickoff(self) -> NullStatus:
        """Nothing moves."""
        return NullStatus()

    def complete(self) -> NullStatus:
        """All is there."""
        return NullStatus()

    def describe_collect(self) -> dict[str, Any]:
        """One signal in one stream."""
        return {"flown": {"count": {"source": "SIM:count", "dtype": "number", "shape": []}}}

    def collect_pages(self) -> Iterator[dict[str, Any]]:
        """The numbers from 0 on."""
        for page in range(PAGES):
            numbers = [float(page * PER_PAGE + n) for n in range(PER_PAGE)]
            yield {
                "data": {"count": numbers},
                "timestamps": {"count": numbers},
                "time": numbers,
                "seq_num": list(range(PER_PAGE)),
            }


def scan() -> Any:
    """A step scan."""
    return bp.scan([det, noisy_det], motor, -1, 1, 5)


def two_at_once() -> Any:
    """A run within another one."""

    @bpp.set_run_key_decorator("inner")
    @bpp.run_decorator(md={"purpose": "inner"})
    def inner() -> Any:
        yield from bps.trigger_and_read([det])
        yield from bps.trigger_and_read([det])

    @bpp.set_run_key_decorator("outer")
    @bpp.run_decorator(md={"purpose": "outer"})
    def outer() -> Any:
        yield from bps.trigger_and_read([motor])
        yield from inner()
        yield from bps.mv(motor, 2)
        yield from bps.trigger_and_read([motor])
        yield from bps.trigger_and_read([motor])

    return outer()


def paused() -> Any:
    """A scan that is paused in the middle of a point, and resumed."""
    waited: list[bool] = []

    def per_step(detectors: Any, step: Any, pos_cache: Any):
        yield from bps.checkpoint()
        yield from bps.abs_set(motor, next(iter(step.values())), wait=True)
        yield from bps.trigger_and_read([*detectors, motor])
        if next(iter(step.values())) == 0 and not waited:
            waited.append(True)
            yield from bps.pause()

    return bp.scan([det], motor, -1, 1, 5, per_step=per_step)


def failing() -> Any:
    """A scan that a fault ends."""

    @bpp.run_decorator(md={"plan_name": "failing"})
    def plan() -> Any:
        yield from bps.trigger_and_read([det])
        raise RuntimeError("the shutter is closed")

    return plan()


def flown() -> Any:
    """100000 events, collected."""
    return bp.fly([Flyer()])


def blobs() -> Any:
    """An ophyd-async detector that saves its images itself."""
    detector = SimBlobDetector(StaticPathProvider(UUIDFilenameProvider(), FOLDER))
    detector.set_name("bdet")
    return bp.count([detector], num=3)


def baseline_and_monitor() -> Any:
    """Streams beside the primary one."""
    plan = bpp.baseline_wrapper(bp.count([det], num=3), [motor])
    return bpp.monitor_during_wrapper(plan, [noisy_det.val])


PLANS: tuple[Callable[[], Any], ...] = (
    scan,
    two_at_once,
    paused,
    failing,
    flown,
    blobs,
    baseline_and_monitor,
)


def run(engine: RunEngine, plan: Callable[[], Any]) -> None:
    """Run a plan through a new writer, beside the usual company."""
    name = plan.__name__
    writer = NXWriter()
    if plan is two_at_once:
        writer.file_path = str(FOLDER / name)
    else:
        writer.file_name = str(FOLDER / f"{name}.h5")
    company: list[Any] = []
    # It knows of one run at a time, and takes its time with every event.
    if plan not in (two_at_once, flown):
        company.append(BestEffortCallback())
        company[0].disable_plots()
    with Recorder(FOLDER / f"{name}.jsonl") as recorder:
        tokens = [engine.subscribe(one) for one in (recorder, *company, writer)]
        try:
            engine(plan())
        except RunEngineInterrupted:
            engine.resume()
        except RuntimeError as error:
            print(name, "failed:", error)
        for result in writer.wait_writer(PATIENCE):
            print(name, result)
        for token in tokens:
            engine.unsubscribe(token)


def wait_within_a_plan(engine: RunEngine) -> None:
    """A plan that does not go on before its run is in the file."""
    writer = NXWriter()
    writer.file_name = str(FOLDER / "within.h5")
    engine.subscribe(writer)

    def plan() -> Any:
        yield from bp.count([det], num=2)
        results = yield from writer.wait_writer_plan_stub(PATIENCE)
        print("within", *results)

    engine(plan())


def main() -> None:
    """All plans."""
    engine = RunEngine({})
    for plan in PLANS:
        run(engine, plan)
    wait_within_a_plan(engine)


if __name__ == "__main__":
    main()
