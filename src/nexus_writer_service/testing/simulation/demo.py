"""A standard set of scans: one of each kind that a writer should be seen with."""

from collections.abc import Callable, Iterable, Mapping

from nexus_writer_service.errors import SettingsError
from nexus_writer_service.testing.simulation.camera import Camera
from nexus_writer_service.testing.simulation.designs import MeshAxis
from nexus_writer_service.testing.simulation.devices import SAMPLING_CONTROLLER
from nexus_writer_service.testing.simulation.records import ScanRecord
from nexus_writer_service.testing.simulation.session import SimulatedSession

DIODE = f"{SAMPLING_CONTROLLER}:diode1"

SAMPLE = {
    "name": "LaB6",
    "@NX_class": "NXsample",
    "description": "line standard",
    "temperature": 293.5,
    "temperature@units": "K",
}


def _ascan(session: SimulatedSession, period: float) -> ScanRecord:
    return session.ascan(
        "robx",
        0.0,
        1.0,
        30,
        period=period,
        plotselect=(DIODE,),
        metadata={"sample": SAMPLE},
        comments=("beam is back", "looks good"),
    )


def _mesh(session: SimulatedSession, period: float) -> ScanRecord:
    fast, slow = MeshAxis("robx", 0.0, 1.0, 11), MeshAxis("roby", 10.0, 12.0, 8)
    return session.amesh(fast, slow, period=period / 2, plotselect=(DIODE,))


def _mca(session: SimulatedSession, period: float) -> ScanRecord:
    return session.mca(20, period=period)


def _camera(session: SimulatedSession, period: float) -> ScanRecord:
    return session.camera(20, Camera(shape=(64, 96), frames_per_file=6), period=period)


def _sequence(session: SimulatedSession, period: float) -> ScanRecord:
    return session.sequence(
        [
            lambda sequence: session.loopscan(10, period=period, sequence=sequence),
            lambda sequence: session.ascan("roby", 0.0, 5.0, 10, period=period, sequence=sequence),
        ],
        custom_channel="temperature",
    )


def _two_top_masters(session: SimulatedSession, period: float) -> ScanRecord:
    return session.two_top_masters(20, 10, period=period)


def _aborted(session: SimulatedSession, period: float) -> ScanRecord:
    return session.ascan("robz", 0.0, 1.0, 40, period=period, abort_after=15)


DEMO_SCANS: Mapping[str, Callable[[SimulatedSession, float], ScanRecord]] = {
    "mca": _mca,
    "camera": _camera,
    "sequence": _sequence,
    "two_top_masters": _two_top_masters,
    "aborted": _aborted,
    "ascan": _ascan,
    "mesh": _mesh,
}
"""The kinds of demonstration scans, by name; the last one leaves a default plot."""


def run_demo_scans(
    session: SimulatedSession, period: float = 0.02, kinds: Iterable[str] = tuple(DEMO_SCANS)
) -> list[ScanRecord]:
    """Publish demonstration scans, one after the other.

    Args:
        session: that publishes them.
        period: seconds between points.
        kinds: keys of `DEMO_SCANS`, by default all.

    Raises:
        SettingsError: there is no such kind.
    """
    wanted = list(kinds)
    if unknown := [kind for kind in wanted if kind not in DEMO_SCANS]:
        raise SettingsError(
            f"No demonstration scan is called {', '.join(unknown)}. There are: "
            f"{', '.join(DEMO_SCANS)}."
        )
    return [DEMO_SCANS[kind](session, period) for kind in wanted]
