"""What the writers are given: scans whose every value can be computed again for the comparison."""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from nexus_writer_service.testing.simulation import (
    NumberChannel,
    ScanDesign,
    Setting,
    SimulatedDevice,
    devices,
)
from nexus_writer_service.testing.simulation.values import noise

SESSION = "bench_session"

_BANK = 97
"""Different spectra of one detector: far more than fit into the 32 KiB that deflate looks back."""


@dataclass(frozen=True, slots=True)
class AdcSignal:
    """A slow wave with 9 bits of noise, as a 16 bit converter of +-10 V would give it."""

    name: str

    def __call__(self, start: int, stop: int) -> NDArray[np.float64]:
        """Points start to stop - 1, in volts: (points,)."""
        wave = 20_000 * np.sin(np.arange(start, stop) * (2 * math.pi / 5000))
        counts = np.rint(wave + 512 * noise(self.name, start, stop))
        volts: NDArray[np.float64] = counts * (10 / 32767)
        return volts


@dataclass(frozen=True, slots=True)
class CountedSpectra:
    """Spectra with the statistics of counting; the first channel is the index of the spectrum."""

    name: str
    width: int

    def __call__(self, start: int, stop: int) -> NDArray[np.uint32]:
        """Points start to stop - 1: (points, width)."""
        indexes = np.arange(start, stop)
        spectra = _bank(self.name, self.width)[indexes % _BANK]
        spectra[:, 0] = indexes
        return spectra


@cache
def _bank(name: str, width: int) -> NDArray[np.uint32]:
    energy = np.arange(width) / width
    expected = 2 * np.exp(-3 * energy)
    for place, height in ((0.2, 50.0), (0.45, 90.0), (0.7, 30.0)):
        expected += height * np.exp(-0.5 * ((energy - place) / 0.01) ** 2)
    random = np.random.default_rng(crc32(name.encode()))
    return random.poisson(expected, (_BANK, width)).astype(np.uint32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One scan: a timer (two channels, which are not counted) and equal channels."""

    name: str
    channels: int
    points: int
    """Of each channel."""
    block: int = 1
    """Points of one entry of a stream, which are sent together."""
    width: int = 0
    """Channels of a spectrum; 0: scalars."""
    rate: float = 0.0
    """Points per second; 0: the scan is over before the writer sees it."""
    scheme: str = ""
    """Compression that the session asks for, of all that is longer than nothing."""

    @property
    def title(self) -> str:
        """For tables."""
        kind = f"x {self.width} uint32" if self.width else "scalars float64"
        pace = f"{self.rate:g} Hz" if self.rate else f"{self.block} per entry"
        return f"{self.channels} {kind}, {self.points} points, {pace}"

    @property
    def total(self) -> int:
        """Points of all channels."""
        return self.channels * self.points

    @property
    def nbytes(self) -> int:
        """Bytes of all points."""
        return self.total * (4 * self.width or 8)

    @property
    def chunk_options(self) -> dict[str, Any]:
        """For the session."""
        if not self.scheme:
            return {}
        return {"compression_scheme": self.scheme, "compression_limit_nbytes": 0}

    def counted(self) -> tuple[NumberChannel, ...]:
        """The channels that are counted."""
        make = self._spectrum if self.width else self._scalar
        return tuple(make(index) for index in range(self.channels))

    def design(self, setting: Setting) -> ScanDesign:
        """The scan, for `SimulatedSession.open`."""
        channels = self.counted()
        if self.width:
            about = {"type": "mca"}
            device = SimulatedDevice(name="mca1", channels=channels, kind="mca", metadata=about)
        else:
            device = SimulatedDevice(name="p201", channels=channels, metadata={})
        return setting.timed("loopscan", self.points, device)

    def _scalar(self, index: int) -> NumberChannel:
        name = f"p201:c{index:04}"
        return NumberChannel(
            name=name,
            values=AdcSignal(name),
            path=f"instrument/c{index:04}/signal",
            record=devices.SAMPLING_RECORD,
        )

    def _spectrum(self, index: int) -> NumberChannel:
        name = f"mca1:spectrum_det{index}"
        return NumberChannel(
            name=name,
            values=CountedSpectra(name, self.width),
            path=f"instrument/mca1_det{index}/spectrum",
            dtype=np.dtype(np.uint32),
            shape=(self.width,),
            record=devices.MCA_RECORD,
        )
