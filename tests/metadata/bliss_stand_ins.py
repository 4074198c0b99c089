"""Classes with the names that counters of BLISS have: they are known by these.

The real ones are in ``make test-bliss``, which compares what is made of both.
"""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


def named(package: str, name: str, *bases: type) -> type:
    """A class of this name, as if defined in this package."""
    return type(name, bases or (Named,), {"__module__": package})


@dataclass
class Named:
    """A counter, with all that rules may ask it for."""

    fullname: Any
    mode: Any = None
    roi: Any = None
    active: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        return str(self.fullname).rpartition(":")[2]

    @property
    def _counter_controller(self) -> Any:
        channels = dict(enumerate(self.active))
        return SimpleNamespace(_mca=SimpleNamespace(active_channels=channels))


SamplingCounter = named("bliss.common.counter", "SamplingCounter")
SoftCounter = named("bliss.common.counter", "SoftCounter", SamplingCounter)
AutoFilterCalcCounter = named("bliss.common.auto_filter.counters", "AutoFilterCalcCounter")
SpectrumMcaCounter = named("bliss.controllers.mca.counter", "SpectrumMcaCounter")
StatisticsMcaCounter = named("bliss.controllers.mca.counter", "StatisticsMcaCounter")
RoiMcaCounter = named("bliss.controllers.mca.counter", "RoiMcaCounter")
RoiSumMcaCounter = named("bliss.controllers.mca.counter", "RoiSumMcaCounter", RoiMcaCounter)
MythenCounter = named("bliss.controllers.mca.mythen", "MythenCounter")
RoiMythenCounter = named("bliss.controllers.mca.mythen", "RoiMythenCounter", RoiMcaCounter)
MoscaSpectrum = named("bliss.controllers.mosca.counters", "SpectrumCounter")
MoscaStat = named("bliss.controllers.mosca.counters", "StatCounter")
MoscaRoi = named("bliss.controllers.mosca.counters", "ROICounter")
LimaImage = named("bliss.controllers.lima.image", "ImageCounter")
LimaBpm = named("bliss.controllers.lima.bpm", "LimaBpmCounter")
LimaRoi = named("bliss.controllers.lima.counters", "RoiStatCounter")
LimaProfile = named("bliss.controllers.lima.counters", "RoiProfileCounter")
LimaCollection = named("bliss.controllers.lima.counters", "RoiCollectionCounter")
Lima2Frame = named("bliss.controllers.lima2.counter", "FrameCounter")
Lima2Roi = named("bliss.controllers.lima2.counter", "RoiStatCounter")
Unknown = named("beamline.own", "SamplingCounter")


def mode(name: str) -> Any:
    return SimpleNamespace(name=name)


@dataclass
class Saving:
    """``SCAN_SAVING``, as far as it is asked."""

    file: str | None = "/data/visitor/ma1/id00/20261121/RAW_DATA/LaB6/LaB6_0001/LaB6_0001.h5"
    separate: bool | None = False
    data_policy: str | None = "ESRF"
    proposal_name: str = "ma1"
    collection_name: str = "LaB6"
    beamline: str = "id00"
    dataset: dict[str, str] = field(default_factory=dict)

    @property
    def writer_object(self) -> Any:
        return SimpleNamespace(get_filename=lambda: self.file, separate_scan_files=self.separate)
