"""Scans that are demanding for whoever saves them, run in the BLISS shell of a test session.

    TEST_SESSION [1]: exec(open("examples/some_scans.py").read())

They take half a minute. The session needs simulated motors and counters only: two motors ``robx``
and ``roby``, two diodes, and, for what uses it, an MCA (``mca1`` or ``simu1``) and a camera
(``lima_simulator``); what it has not got is left out. ``done_scans`` has the scans afterwards.
"""

from collections.abc import Callable
from typing import Any

import gevent
import numpy as np
from bliss.common.scans import a2scan, amesh, ascan, ct, loopscan, timescan
from bliss.config import static
from bliss.scanning.acquisition.counter import SamplingCounterAcquisitionSlave
from bliss.scanning.acquisition.timer import SoftwareTimerMaster
from bliss.scanning.chain import AcquisitionChain, AcquisitionSlave
from bliss.scanning.channel import AcquisitionChannel
from bliss.scanning.group import Sequence
from bliss.scanning.scan import Scan, ScanState


def device(*names: str) -> Any:
    """The first of some devices that the beamline has, None if it has none of them."""
    config = static.get_config()
    known = (name for name in names if name in config.names_list)
    return next((config.get(name) for name in known), None)


robx, roby = device("robx"), device("roby")
first_diode, second_diode = device("diode1", "diode"), device("diode2")


class Shapes(AcquisitionSlave):  # type: ignore[misc]
    """Publishes, with each trigger, a number, a spectrum, an image and a list that grows."""

    def __init__(self, npoints: int) -> None:
        super().__init__(name="shapes", npoints=npoints, prepare_once=True, start_once=True)
        self.count = 0
        for name, dtype, shape in (
            ("flag", np.uint8, ()),
            ("spectrum", np.uint32, (512,)),
            ("image", np.uint16, (24, 32)),
            ("events", np.float64, (-1,)),
        ):
            self.channels.append(AcquisitionChannel(f"shapes:{name}", dtype, shape))

    def prepare(self) -> None:
        """Count from the start."""
        self.count = 0

    def start(self) -> None:
        """Wait for the first trigger."""

    def stop(self) -> None:
        """There is nothing to stop."""

    def trigger(self) -> None:
        """Publish a point on each channel."""
        n = self.count
        self.count += 1
        flag, spectrum, image, events = self.channels
        flag.emit(np.uint8(n % 2))
        spectrum.emit(np.random.default_rng(n).poisson(100, 512).astype(np.uint32))
        image.emit(np.full((24, 32), n, np.uint16))
        events.emit(np.arange(1.0, n + 2))


# ------------------------------------------------------------------------------ the usual ones
def one_point_that_is_not_saved() -> list[Any]:
    """A count."""
    return [ct(0.1, first_diode)]


def points_along_one_axis() -> list[Any]:
    """A motor is moved; many points of the time alone; points whose number nobody announced."""
    return [
        ascan(robx, 0, 1, 20, 0.01, first_diode, second_diode),
        loopscan(200, 0.001, first_diode),
        timescan(0.01, first_diode, npoints=25),
    ]


def points_along_two_axes() -> list[Any]:
    """Two motors together, and a grid."""
    return [
        a2scan(robx, 0, 1, roby, 5, 6, 8, 0.01, first_diode),
        amesh(robx, 0, 1, 6, roby, 0, 1, 4, 0.01, first_diode, second_diode),
    ]


def spectra() -> list[Any]:
    """A multichannel analyser: spectra, statistics and regions of each of its detectors."""
    analyser = device("mca1", "simu1")
    return [loopscan(5, 0.05, analyser, first_diode)] if analyser else []


def images_that_a_camera_saves() -> list[Any]:
    """Only references to images are published."""
    camera = device("lima_simulator")
    return [loopscan(5, 0.05, camera, first_diode)] if camera else []


# --------------------------------------------------------------------------- the demanding ones
def points_of_every_shape() -> list[Any]:
    """Numbers, spectra, images and lists that grow, all through Redis."""
    chain = AcquisitionChain()
    chain.add(SoftwareTimerMaster(0.02, npoints=10), Shapes(npoints=10))
    return [finished(Scan(chain, "shapes", scan_info={"npoints": 10, "title": "every shape"}))]


def two_top_masters() -> list[Any]:
    """Two timers in one scan, which do not wait for each other: two entries in the file."""
    chain = AcquisitionChain(parallel_prepare=True)
    for name, period, points, diode in (
        ("fast", 0.02, 12, first_diode),
        ("slow", 0.07, 4, second_diode),
    ):
        timer = SoftwareTimerMaster(period, npoints=points, name=name)
        timer.terminator = False
        counting = SamplingCounterAcquisitionSlave(diode, count_time=period, npoints=points)
        chain.add(timer, counting)
    return [finished(Scan(chain, "two_timers", scan_info={"title": "two top masters"}))]


def scans_at_the_same_time() -> list[Any]:
    """Two scans of one session in one file."""
    scans = [
        loopscan(15, 0.03, first_diode, run=False, name="one"),
        loopscan(10, 0.05, second_diode, run=False, name="other"),
    ]
    gevent.joinall([gevent.spawn(scan.run) for scan in scans], raise_error=True)
    return scans


def a_sequence_of_scans() -> list[Any]:
    """Scans that belong together, and a channel of the sequence itself."""
    sequence = Sequence(title="sequence", scan_info={"sample_is": "simulated"})
    sequence.add_custom_channel(AcquisitionChannel("sequence:step", float, ()))
    scans = []
    with sequence.sequence_context() as context:
        for step in range(3):
            scans.append(ascan(robx, step, step + 1, 4, 0.01, first_diode, run=False))
            context.add_and_run(scans[-1])
            sequence.custom_channels["sequence:step"].emit([float(step)])
    return [sequence.scan, *scans]


def a_scan_that_is_interrupted() -> list[Any]:
    """As by Ctrl-C, when some points are there."""
    scan = loopscan(500, 0.02, first_diode, run=False)
    task = gevent.spawn(scan.run)
    while scan.state < ScanState.STARTING:
        gevent.sleep(0.01)
    gevent.sleep(0.3)
    task.kill(KeyboardInterrupt)
    return [scan]


def a_scan_with_a_comment_and_metadata() -> list[Any]:
    """What the user has to say of it."""
    info = {
        "instrument": {"furnace": {"@NX_class": "NXsensor", "value": 293.5, "value@units": "K"}}
    }
    scan = loopscan(5, 0.01, first_diode, run=False, scan_info=info)
    scan.add_comment("the furnace is off")
    return [finished(scan)]


def finished(scan: Any) -> Any:
    """The scan, once it has run."""
    scan.run()
    return scan


KINDS: tuple[Callable[[], list[Any]], ...] = (
    one_point_that_is_not_saved,
    points_along_one_axis,
    points_along_two_axes,
    spectra,
    images_that_a_camera_saves,
    points_of_every_shape,
    two_top_masters,
    scans_at_the_same_time,
    a_sequence_of_scans,
    a_scan_that_is_interrupted,
    a_scan_with_a_comment_and_metadata,
)

done_scans: list[Any] = []
for kind in KINDS:
    scans_of_kind = kind()
    done_scans += scans_of_kind
    names = ", ".join(f"{scan.identifier} ({scan.state.name})" for scan in scans_of_kind)
    print(f"{kind.__name__}: {names or 'left out, the session has no such device'}", flush=True)
