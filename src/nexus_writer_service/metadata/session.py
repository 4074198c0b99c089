"""The generators: they ask BLISS, and nothing else here does.

``bliss`` is imported when they are called. Its import patches the standard library, which is for
BLISS to do.
"""

from collections.abc import Mapping
from typing import Any

from nexus_writer_service.errors import StateError
from nexus_writer_service.metadata.devices import device_records
from nexus_writer_service.metadata.instrument import instrument
from nexus_writer_service.metadata.saving import master_files
from nexus_writer_service.metadata.technique import technique_of

Json = Any


def scan_metadata() -> Any:
    """The metadata of all scans of this session.

    Raises:
        StateError: this process has no BLISS.
    """
    try:
        from bliss.scanning.scan_meta import get_user_scan_meta  # noqa: PLC0415 - see module
    except ImportError as error:
        raise StateError(
            f"metadata generators cannot be registered: BLISS is not there ({error}). Call this in "
            "a BLISS session, for example in its setup script"
        ) from error
    return get_user_scan_meta()


def instrument_info(scan: Any) -> Mapping[str, Json]:
    """``instrument_info``: the name of the instrument, and that of the beamline."""
    from bliss import current_session  # noqa: PLC0415 - see module

    own = current_session.scan_saving_config if current_session else {}
    return {"instrument_info": instrument(_saving(scan), _configuration(), own)}


def device_info(_: Any) -> Mapping[str, Json]:
    """``devices``: what each channel of the session is, by name of the channel."""
    from bliss import global_map  # noqa: PLC0415 - see module

    return {"devices": device_records(global_map.get_counters_iter(), global_map.aliases.get_alias)}


def masterfiles(scan: Any) -> Mapping[str, Json]:
    """``masterfiles``: files that link to the scan; nothing for a scan that is not saved."""
    return {"masterfiles": master_files(_saving(scan))} if _is_saved(scan) else {}


def technique(scan: Any) -> Mapping[str, Json]:
    """``technique``: plots and applications; nothing where the beamline defines no techniques."""
    definitions = _configuration().get("nexus_definitions")
    if not definitions:
        return {}
    saving = _saving(scan)
    dataset = getattr(saving, "dataset", None) if _is_saved(scan) else None
    chosen = str(dataset["definition"]) if dataset and "definition" in dataset else ""
    found = technique_of(definitions, chosen.split())
    return {"technique": found} if found else {}


def name_of(scan: Any) -> str:
    """The scan, for a message."""
    return f"scan {scan.identifier}" if scan is not None else "no scan"


def _saving(scan: Any) -> Any:
    """Where the scan is saved; without a scan, where the next one is going to be."""
    if scan is not None:
        return scan.scan_saving
    from bliss import current_session  # noqa: PLC0415 - see module

    return current_session.scan_saving


def _is_saved(scan: Any) -> bool:
    return scan is None or bool(scan.scan_info.get("save", True))


def _configuration() -> Mapping[str, Json]:
    """The root of the beamline's configuration in Beacon."""
    from bliss.config import static  # noqa: PLC0415 - see module

    root: Mapping[str, Json] = static.get_config().root
    return root
