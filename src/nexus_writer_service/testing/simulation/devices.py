"""The devices of a simulated session, with the names and the metadata that BLISS gives them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nexus_writer_service.testing.simulation import values
from nexus_writer_service.testing.simulation.channels import NumberChannel, SimulatedDevice
from nexus_writer_service.testing.simulation.values import Values

Json = Any

SAMPLING_CONTROLLER = "simulation_diode_sampling_controller"

SAMPLING_RECORD = {
    "device_info": {"type": "samplingcounter", "mode": "MEAN"},
    "device_type": "samplingcounter",
    "data_type": "signal",
}
MCA_RECORD = {"device_info": {"type": "mca"}, "device_type": "mca"}

_MCA_STATISTICS = {
    "realtime": "elapsed_time",
    "trigger_livetime": "trigger_live_time",
    "energy_livetime": "live_time",
    "triggers": "triggers",
    "events": "events",
    "icr": "trigger_count_rate",
    "ocr": "event_count_rate",
    "deadtime": "fractional_dead_time",
}
"""Statistics of one detector of an MCA, and the datasets that they become."""


def timer(
    name: str,
    *,
    epoch: float,
    period: float,
    triggers: tuple[SimulatedDevice, ...],
    top: bool,
) -> SimulatedDevice:
    """The software timer.

    Args:
        name: its name, ``timer`` in most scans.
        epoch: start of the scan, seconds since 1970.
        period: seconds between points.
        triggers: devices that it triggers.
        top: whether it is the top master, whose channels are positioners.
    """
    dataset = "value" if top else "data"
    channels = tuple(
        NumberChannel(
            name=f"{name}:{quantity}",
            values=values.ramp(first, period),
            path=f"instrument/{quantity}/{dataset}",
            about={"unit": "s"},
        )
        for quantity, first in (("elapsed_time", 0.0), ("epoch", epoch))
    )
    return SimulatedDevice(name=name, channels=channels, triggers=triggers)


def axis(
    motors: Mapping[str, Values],
    about: Mapping[str, Mapping[str, Json]],
    *,
    triggers: tuple[SimulatedDevice, ...],
) -> SimulatedDevice:
    """The top master that moves motors.

    Args:
        motors: positions by name of the motor.
        about: what the scan info says of each: unit, start, stop...
        triggers: devices that it triggers.
    """
    channels = tuple(
        NumberChannel(
            name=f"axis:{motor}",
            values=positions,
            path=f"instrument/{motor}/value",
            about=about[motor],
        )
        for motor, positions in motors.items()
    )
    return SimulatedDevice(name="axis", channels=channels, triggers=triggers)


def sampling_counters(
    counters: Mapping[str, Values], about: Mapping[str, Json] | None = None
) -> tuple[SimulatedDevice, ...]:
    """Devices that read sampling counters.

    Args:
        counters: values by name. A name alone (``diode1``) is a diode, each read by a device of its
            own; a full name (``ctl:c0001``) shares one device with the others of its controller.
        about: what the scan info says of each channel.
    """
    channels: dict[str, list[NumberChannel]] = {}
    for name, source in counters.items():
        controller, _, short = name.rpartition(":")
        channel = NumberChannel(
            name=name if controller else f"{SAMPLING_CONTROLLER}:{name}",
            values=source,
            path=f"instrument/{short}/signal",
            about=about or {},
            record=SAMPLING_RECORD,
        )
        channels.setdefault(controller or f"{SAMPLING_CONTROLLER}:{name}", []).append(channel)
    return tuple(
        SimulatedDevice(name=key.partition(":")[0], channels=tuple(members), metadata={})
        for key, members in channels.items()
    )


def mca(
    name: str = "mca1",
    *,
    detectors: int = 4,
    channels: int = 1024,
    rois: Sequence[str] = ("roi1", "roi2"),
    dtype: DTypeLike = np.uint32,
) -> SimulatedDevice:
    """A multichannel analyser: spectra, their statistics, counts in regions and the sums of these.

    Args:
        name: name of the device.
        detectors: number of detectors.
        channels: channels of a spectrum.
        rois: names of the regions of interest.
        dtype: type of the spectra.
    """
    made = []
    for detector in range(detectors):
        suffix, group = f"det{detector}", f"instrument/{name}_det{detector}"
        full = f"{name}:spectrum_{suffix}"
        made += [_counts(f"{name}:{roi}_{suffix}", f"{group}/{roi}") for roi in rois]
        made.append(
            NumberChannel(
                name=full,
                values=values.spectra(full, channels, dtype),
                path=f"{group}/spectrum",
                dtype=np.dtype(dtype),
                shape=(channels,),
                record=MCA_RECORD,
            )
        )
        made += [
            _statistic(f"{name}:{word}_{suffix}", f"{group}/{dataset}")
            for word, dataset in _MCA_STATISTICS.items()
        ]
    made += [_counts(f"{name}:{roi}", f"instrument/{name}_sum/{roi}") for roi in rois]
    metadata = {"type": "mca"}
    return SimulatedDevice(name=name, channels=tuple(made), kind="mca", metadata=metadata)


def _counts(name: str, path: str) -> NumberChannel:
    source, dtype = values.counts(name), np.dtype(np.int64)
    return NumberChannel(name=name, values=source, path=path, dtype=dtype, record=MCA_RECORD)


def _statistic(name: str, path: str) -> NumberChannel:
    if "triggers" in name or "events" in name:
        return _counts(name, path)
    return NumberChannel(
        name=name,
        values=lambda start, stop: values.noise(name, start, stop),
        path=path,
        record=MCA_RECORD,
    )
