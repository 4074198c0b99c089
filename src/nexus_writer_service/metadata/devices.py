"""What the counters of a BLISS session are, by the names of the channels that they publish.

A counter is known by its class, and a class by its name and package, as in
``bliss.controllers.mca``: nothing has to be imported to know it, least of all controllers that the
beamline has not got, and versions of BLISS may move it to another module.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

Json = Any
Record = dict[str, Json]
"""``device_type``, ``device_info``, ``data_type``, ``channel``, ``alias``: what is known."""
Counter = Any
"""A counter of BLISS: ``fullname``, ``name`` and what its class has."""

_logger = logging.getLogger(__name__)

_BESIDE = {"STATS": ("_N", "_std", "_var", "_min", "_max", "_p2v"), "SAMPLES": ("_samples",)}
"""What a sampling counter publishes beside its signal, by its mode: endings of its name."""
_ENDINGS = frozenset(ending for endings in _BESIDE.values() for ending in endings)


def device_records(
    counters: Iterable[Counter], alias_of: Callable[[Counter], str | None]
) -> dict[str, Record]:
    """What each channel is, by its name in Redis; empty for a plain detector.

    A counter that cannot be asked is a plain detector, with a warning.

    Args:
        counters: those of the session, also some that are no channels.
        alias_of: the alias of a counter, if it has one.
    """
    found: dict[str, Record] = {}
    for counter in counters:
        name = getattr(counter, "fullname", None)
        if not isinstance(name, str):
            _logger.debug("%r has no full name: it is no channel", counter)
            continue
        channel = name.replace(".", ":")
        try:
            found.update(_of_counter(channel, counter, alias_of(counter)))
        except Exception as error:  # noqa: BLE001 - whatever a controller raises, others count
            _logger.warning(
                "counter %s: its type is not known (%s: %s); its data are written as those of a "
                "plain detector",
                name,
                type(error).__name__,
                error,
            )
            found[channel] = {}
    return found


def _of_counter(channel: str, counter: Counter, alias: str | None) -> dict[str, Record]:
    rule = _rule(counter)
    if rule is None:
        found: dict[str, Record] = {channel: {}}
    else:
        found = dict(rule(channel, counter))
    if not alias:
        return found
    # What a counter publishes beside its signal has the alias with the same ending. Of the many
    # channels of a multichannel analyser's counter, the alias names none.
    return {
        name: record | {"alias": alias + ending}
        if (ending := name.removeprefix(channel)) == "" or ending in _ENDINGS
        else record
        for name, record in found.items()
    }


Rule = Callable[[str, Counter], Iterable[tuple[str, Record]]]
"""From a counter to its channels, each with what it is."""


def _rule(counter: Counter) -> Rule | None:
    # An alias is a proxy: `type` of it is not the class of its counter.
    for known in counter.__class__.__mro__:
        for (package, name), rule in _RULES.items():
            if known.__name__ == name and f"{known.__module__}.".startswith(f"{package}."):
                return rule
    return None


def _typed(device_type: str, kind: str = "") -> Rule:
    """One channel; ``kind`` is what the file says where it differs from the type."""

    def rule(channel: str, _: Counter) -> Iterator[tuple[str, Record]]:
        yield channel, {"device_info": {"type": kind or device_type}, "device_type": device_type}

    return rule


def _sampling(channel: str, counter: Counter) -> Iterator[tuple[str, Record]]:
    mode = counter.mode.name
    record = {
        "device_info": {"type": "samplingcounter", "mode": mode},
        "device_type": "samplingcounter",
    }
    yield channel, record | {"data_type": "signal"}
    for ending in _BESIDE.get(mode, ()):
        yield channel + ending, record


def _mosca(middle: str) -> Rule:
    """A channel for each active channel of a multichannel analyser, named by its number."""

    def rule(channel: str, counter: Counter) -> Iterator[tuple[str, Record]]:
        controller, _, name = channel.rpartition(":")
        analyser = counter._counter_controller._mca  # noqa: SLF001 - BLISS tells in no public way
        for number in analyser.active_channels.values():
            yield f"{controller}:{middle.format(name=name)}det{number:02d}", _mosca_record()

    return rule


def _mosca_roi(channel: str, counter: Counter) -> Iterator[tuple[str, Record]]:
    yield channel, _mosca_record() | {"channel": counter.roi.channel}


def _mosca_record() -> Record:
    return {"device_info": {"type": "mca"}, "device_type": "mosca"}


_LIMA2 = _typed("lima2", "lima")
_RULES: Mapping[tuple[str, str], Rule] = {
    ("bliss.common.counter", "SamplingCounter"): _sampling,
    ("bliss.common.auto_filter", "AutoFilterCalcCounter"): _typed("autofilter"),
    ("bliss.controllers.mca.mythen", "MythenCounter"): _typed("mythen"),
    ("bliss.controllers.mca.mythen", "RoiMythenCounter"): _typed("mythen"),
    ("bliss.controllers.mca", "SpectrumMcaCounter"): _typed("mca"),
    ("bliss.controllers.mca", "StatisticsMcaCounter"): _typed("mca"),
    ("bliss.controllers.mca", "RoiMcaCounter"): _typed("mca"),
    ("bliss.controllers.mosca", "SpectrumCounter"): _mosca("spectrum:"),
    ("bliss.controllers.mosca", "StatCounter"): _mosca("stat:{name}_"),
    ("bliss.controllers.mosca", "ROICounter"): _mosca_roi,
    ("bliss.controllers.lima", "ImageCounter"): _typed("lima"),
    ("bliss.controllers.lima", "LimaBpmCounter"): _typed("lima"),
    ("bliss.controllers.lima", "RoiStatCounter"): _typed("lima"),
    ("bliss.controllers.lima", "RoiProfileCounter"): _typed("lima"),
    ("bliss.controllers.lima", "RoiCollectionCounter"): _typed("lima"),
    ("bliss.controllers.lima2", "FrameCounter"): _LIMA2,
    ("bliss.controllers.lima2", "RoiStatCounter"): _LIMA2,
}
"""By package and name of the class, which also stands for classes derived from it."""
