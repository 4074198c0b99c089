"""The name of the instrument."""

import os
from collections.abc import Mapping
from typing import Any

Json = Any


def instrument(
    saving: Any, beamline_config: Mapping[str, Json], session_config: Mapping[str, Json]
) -> dict[str, str]:
    """Name of the instrument, with that of the beamline as ``name@short_name``; what is known.

    The beamline is, first of all, that of the saving settings, else of the session, else of the
    beamline's configuration, else of the environment (``BEAMLINE``, ``BEAMLINENAME``). The
    instrument is what the configuration says (``instrument``), else the institute
    (``synchrotron``, ``laboratory``, ``institute``) and the beamline, as in ``ESRF-id00``.

    Args:
        saving: ``SCAN_SAVING`` of the scan.
        beamline_config: the root of the beamline's configuration.
        session_config: the section ``scan_saving`` of the session's configuration.
    """
    short_name = _text(getattr(saving, "beamline", None)) or _beamline(
        session_config.get("beamline"),
        beamline_config.get("beamline"),
        os.environ.get("BEAMLINE"),
        os.environ.get("BEAMLINENAME"),
    )
    name = _text(beamline_config.get("instrument")) or _at_institute(short_name, beamline_config)
    return {
        key: text for key, text in {"name": name, "name@short_name": short_name}.items() if text
    }


def _at_institute(beamline: str, config: Mapping[str, Json]) -> str:
    places = (_text(config.get(key)) for key in ("synchrotron", "laboratory", "institute"))
    institute = next(filter(None, places), "")
    if beamline.lower() in institute.lower():
        return institute
    return f"{institute}-{beamline}" if institute else beamline


def _beamline(*said: Json) -> str:
    return next(filter(None, map(_text, said)), "").lower()


def _text(value: Json) -> str:
    return "" if value is None else str(value)
