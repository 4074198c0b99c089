"""The kinds of scans that BLISS has, as descriptions of what they publish."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nexus_writer_service.testing.simulation import devices, values
from nexus_writer_service.testing.simulation.camera import Camera
from nexus_writer_service.testing.simulation.channels import (
    Chain,
    NumberChannel,
    ScanChannel,
    SimulatedDevice,
)
from nexus_writer_service.testing.simulation.options import ScanOptions

Json = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanDesign:
    """What a scan publishes, before it has a number."""

    name: str
    title: str
    chains: tuple[Chain, ...]
    """One for each top master."""
    info: Mapping[str, Json] = field(default_factory=dict)
    """What the scan info says of this kind of scan: type, npoints, start, stop, plots..."""
    moves: Mapping[str, str] = field(default_factory=dict)
    """Motors that the scan moves, and the channels with their positions."""
    bare: bool = False
    """Without metadata of the session, as BLISS publishes a ``ct``."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a design needs to know of the session."""

    epoch: float
    """Start of the scan, seconds since 1970."""
    options: ScanOptions
    motors: Mapping[str, str]
    """Units by name of the motor."""

    @property
    def seconds_per_point(self) -> float:
        """What the timer tells."""
        return self.options.period or self.options.count_time

    def timer(
        self, *triggers: SimulatedDevice, name: str = "timer", top: bool = True
    ) -> SimulatedDevice:
        """The software timer of this scan."""
        period = self.seconds_per_point
        return devices.timer(name, epoch=self.epoch, period=period, triggers=triggers, top=top)

    def counters(self, points: int) -> tuple[SimulatedDevice, ...]:
        """The sampling counters of this scan."""
        names = self.options.counters
        return devices.sampling_counters({name: values.counter(name, points) for name in names})

    def timed(self, name: str, points: int, *triggers: SimulatedDevice) -> ScanDesign:
        """A scan whose top master is the timer."""
        count_time = self.options.count_time
        plot = {"kind": "curve-plot", "items": [{"kind": "curve", "x": "timer:elapsed_time"}]}
        return ScanDesign(
            name=name,
            title=f"{name} {points} {count_time:g}",
            chains=(Chain(self.timer(*triggers), points),),
            info=_basic(name, points, count_time) | {"plots": [plot]},
        )


def _basic(kind: str, points: int, count_time: float) -> dict[str, Json]:
    return {"type": kind, "npoints": points, "count_time": count_time}


def ct(setting: Setting) -> ScanDesign:
    """One point, never saved, without metadata."""
    count_time = setting.options.count_time
    return ScanDesign(
        name="ct",
        title=f"ct {count_time:g} 1",
        chains=(Chain(setting.timer(*setting.counters(1)), 1),),
        info=_basic("ct", 1, count_time),
        bare=True,
    )


def loopscan(setting: Setting, points: int) -> ScanDesign:
    """A number of points with no motor."""
    return setting.timed("loopscan", points, *setting.counters(points))


def timescan(setting: Setting, points: int) -> ScanDesign:
    """Points until interrupted; here, ``points`` of them."""
    design = setting.timed("timescan", points, *setting.counters(points))
    return replace(design, title=f"timescan {setting.options.count_time:g}")


def mca(setting: Setting, points: int, analyser: SimulatedDevice) -> ScanDesign:
    """A loopscan with a multichannel analyser beside the counters."""
    return setting.timed("loopscan", points, *setting.counters(points), analyser)


def camera(setting: Setting, frames: int, detector: Camera) -> ScanDesign:
    """A loopscan with a camera beside the counters, one frame for each point."""
    return setting.timed("loopscan", frames, *setting.counters(frames), detector.device(frames))


def ascan(setting: Setting, motor: str, start: float, stop: float, intervals: int) -> ScanDesign:
    """A motor goes in equal steps from start to stop."""
    points, count_time = intervals + 1, setting.options.count_time
    positions = values.table(np.linspace(start, stop, points))
    about = _axis_about(setting, motor) | {"start": start, "stop": stop, "points": points}
    master = devices.axis(
        {motor: positions},
        {motor: about},
        triggers=(setting.timer(*setting.counters(points), top=False),),
    )
    plot = {"kind": "curve-plot", "items": [{"kind": "curve", "x": f"axis:{motor}"}]}
    return ScanDesign(
        name="ascan",
        title=f"ascan {motor} {start:.5f} {stop:.5f} {intervals} {count_time:g}",
        chains=(Chain(master, points),),
        info=_basic("ascan", points, count_time)
        | {"start": [start], "stop": [stop], "plots": [plot]},
        moves={motor: f"axis:{motor}"},
    )


def _axis_about(setting: Setting, motor: str) -> dict[str, Json]:
    return {"unit": setting.motors[motor], "decimals": 5}


@dataclass(frozen=True, slots=True)
class MeshAxis:
    """One axis of a mesh."""

    motor: str
    start: float
    stop: float
    intervals: int

    @property
    def points(self) -> int:
        """Number of positions."""
        return self.intervals + 1

    @property
    def positions(self) -> NDArray[np.float64]:
        """Of shape (points,)."""
        return np.linspace(self.start, self.stop, self.points)

    def __str__(self) -> str:
        return f"{self.motor} {self.start:.5f} {self.stop:.5f} {self.intervals}"


def amesh(
    setting: Setting, fast: MeshAxis, slow: MeshAxis, *, back_and_forth: bool = False
) -> ScanDesign:
    """A grid of positions, line by line; back and forth, every second line runs backwards."""
    grid = np.tile(fast.positions, (slow.points, 1))
    if back_and_forth:
        grid[1::2] = grid[1::2, ::-1]
    positions = {fast.motor: grid.ravel(), slow.motor: np.repeat(slow.positions, fast.points)}
    points, count_time = grid.size, setting.options.count_time
    about = {
        axis.motor: {
            "start": axis.start,
            "stop": axis.stop,
            "points": points,
            "axis_points": axis.points,
            "axis_id": index,
            "axis_kind": "backnforth" if back_and_forth else "forth",
            "group": "scatter",
            **_axis_about(setting, axis.motor),
        }
        for index, axis in enumerate((fast, slow))
    }
    counters = devices.sampling_counters(
        {name: values.hill(name, *positions.values()) for name in setting.options.counters},
        {"group": "scatter"},
    )
    master = devices.axis(
        {motor: values.table(places) for motor, places in positions.items()},
        about,
        triggers=(setting.timer(*counters, top=False),),
    )
    return ScanDesign(
        name="amesh",
        title=f"amesh {fast} {slow} {count_time:g}",
        chains=(Chain(master, points),),
        info=_basic("amesh", points, count_time) | _mesh_info(fast, slow),
        moves={motor: f"axis:{motor}" for motor in positions},
    )


def _mesh_info(fast: MeshAxis, slow: MeshAxis) -> dict[str, Json]:
    item = {"kind": "scatter", "x": f"axis:{fast.motor}", "y": f"axis:{slow.motor}"}
    return {
        "data_dim": 2,
        "npoints1": fast.points,
        "npoints2": slow.points,
        "start": [fast.start, slow.start],
        "stop": [fast.stop, slow.stop],
        "plots": [{"kind": "scatter-plot", "items": [item]}],
    }


def two_top_masters(setting: Setting, fast: int, slow: int) -> ScanDesign:
    """Two timers that know nothing of each other, each with a diode."""
    masters = {"fast": (fast, "diode1"), "slow": (slow, "diode2")}
    chains = []
    for name, (points, diode) in masters.items():
        counters = devices.sampling_counters({diode: values.counter(diode, points)})
        chains.append(Chain(setting.timer(*counters, name=name), points))
    return ScanDesign(
        name="twotop", title="two top masters", chains=tuple(chains), info={"type": "custom"}
    )


def custom(
    setting: Setting, name: str, channels: Sequence[NumberChannel], points: int
) -> ScanDesign:
    """A timer and devices of the user, one for each controller."""
    members: dict[str, list[NumberChannel]] = {}
    for channel in channels:
        members.setdefault(channel.name.partition(":")[0], []).append(channel)
    slaves = [
        SimulatedDevice(name=controller, channels=tuple(group))
        for controller, group in members.items()
    ]
    return ScanDesign(
        name=name,
        title=name,
        chains=(Chain(setting.timer(*slaves), points),),
        info={"type": "custom", "npoints": points},
    )


def sequence(name: str, scans: int, custom_channel: str | None = None) -> ScanDesign:
    """A scan of scans.

    Args:
        name: of the sequence.
        scans: how many scans it will have.
        custom_channel: a channel of the sequence itself, one point for each scan.
    """
    slaves: tuple[SimulatedDevice, ...] = ()
    if custom_channel:
        channel = NumberChannel(
            name=custom_channel,
            values=values.ramp(0.0, 1.0),
            path=f"instrument/{custom_channel}/data",
        )
        slaves = (SimulatedDevice(name="custom_channels", channels=(channel,)),)
    master = SimulatedDevice(name="GroupingMaster", channels=(ScanChannel(),), triggers=slaves)
    return ScanDesign(
        name=name,
        title=name,
        chains=(Chain(master, scans),),
        info={"is_scan_sequence": True},
    )
