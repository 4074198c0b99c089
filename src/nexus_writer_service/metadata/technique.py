"""Plots and applications of the technique that a dataset is measured with.

They stand in the beamline's configuration (``__init__.yml`` at its root):

    nexus_definitions:
      technique:
        default: align                      # where the dataset does not say, or says another
        techniques:
          align: {plots: [counters]}
          xrf: {applications: [xrf], plots: [counters, spectra]}
        applications:
          xrf: {class: APPxrf, I0: iodet, It: idet, mca: [mca1]}
        plots:
          counters: {items: [iodet, idet], grid: true}
          spectra: {personal_name: all spectra, items: [mca1], ndim: 1}
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Json = Any

_logger = logging.getLogger(__name__)


def technique_of(definitions: Mapping[str, Json], chosen: Sequence[str]) -> dict[str, Json]:
    """``name``, ``applications``, ``plots`` and ``plotselect`` (the plot to show) of a technique.

    Empty where there is nothing to say: no technique is chosen or known, and none is the default.

    Args:
        definitions: ``nexus_definitions`` of the beamline's configuration.
        chosen: names of techniques, from ``definition`` of the dataset; capitals do not matter. Of
            several, all that are known count together.
    """
    section = _section(definitions, "technique")
    known = {str(name).lower(): str(name) for name in _section(section, "techniques")}
    names = [known[name.lower()] for name in chosen if name.lower() in known]
    default = section.get("default")
    if not names and default is not None:
        names = [str(default)]
    if not names:
        return {}
    plots = dict(_members(section, names, "plots"))
    found: dict[str, Json] = {
        "name": " ".join(names),
        "applications": dict(_members(section, names, "applications")),
        "plots": plots,
    }
    return found | ({"plotselect": next(iter(plots))} if plots else {})


def _members(
    section: Mapping[str, Json], names: Sequence[str], kind: str
) -> Iterator[tuple[str, Json]]:
    """The definitions of the plots or applications of some techniques, by name."""
    defined = _section(section, kind)
    techniques = _section(section, "techniques")
    for technique in names:
        for name in _section(techniques, technique).get(kind) or ():
            if isinstance(defined.get(name), Mapping):
                yield str(name), _plain(defined[name])
            else:
                _logger.warning(
                    "technique %r: %r is not defined; it is left out. Define it in "
                    "nexus_definitions, technique, %s of the beamline's configuration",
                    technique,
                    name,
                    kind,
                )


def _section(mapping: Mapping[str, Json], key: str) -> Mapping[str, Json]:
    found = mapping.get(key)
    return found if isinstance(found, Mapping) else {}


def _plain(value: Json) -> Json:
    """A node of the configuration as what JSON knows; an object as its name."""
    match value:
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case None | bool() | int() | float() | str():
            return value
    return str(getattr(value, "name", value))
