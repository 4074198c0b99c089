"""Where the data of a scan are, from its scan info: files and URLs ``file::/entry``."""

from collections.abc import Mapping

from nexus_writer_service.errors import LayoutError
from nexus_writer_service.h5map.description import described
from nexus_writer_service.layout.esrf.masterfiles import scan_file
from nexus_writer_service.model.description import Json


def scan_filename(scan_info: Mapping[str, Json], raw: bool = False) -> str | None:
    """The file of a scan; None for one that is not saved.

    Args:
        scan_info: of the scan.
        raw: the file that holds the data, where each scan has a file of its own; otherwise that of
            the dataset, which links to it.
    """
    filename = scan_info.get("filename")
    if not filename or not raw:
        return filename or None
    try:
        return scan_file(described(scan_info))
    except LayoutError:
        return str(filename)


def scan_filenames(scan_info: Mapping[str, Json], config: bool = True) -> dict[str, str]:
    """The files that show a scan, by kind: those of ``scan_master_filenames``, dataset, scan.

    Args:
        scan_info: of the scan.
        config: whether what the session says of master files counts.
    """
    found = scan_master_filenames(scan_info, config=config)
    for kind, raw in (("dataset", False), ("scan", True)):
        if filename := scan_filename(scan_info, raw=raw):
            found[kind] = filename
    return found


def scan_master_filenames(scan_info: Mapping[str, Json], config: bool = True) -> dict[str, str]:
    """The files with links to a scan, by kind (dataset_collection, proposal...)."""
    session = scan_info.get("nexuswriter") if config else None
    files = session.get("masterfiles") if isinstance(session, Mapping) else None
    return dict(files) if isinstance(files, Mapping) else {}


def scan_urls(
    scan_info: Mapping[str, Json],
    subscan: int | None = None,
    raw: bool = False,
) -> list[str]:
    """URLs of the entries of a scan.

    Args:
        scan_info: of the scan.
        subscan: only this one, from 1 on.
        raw: as of ``scan_filename``.
    """
    chain = scan_info.get("acquisition_chain") or {}
    numbers = range(1, len(chain) + 1) if subscan is None else (subscan,)
    found = (subscan_url(scan_info, subscan=number, raw=raw) for number in numbers)
    return [url for url in found if url]


def subscan_url(
    scan_info: Mapping[str, Json],
    subscan: int = 1,
    raw: bool = False,
) -> str | None:
    """URL of one entry of a scan; None for a scan that is not saved."""
    filename = scan_filename(scan_info, raw=raw)
    name = scan_name(scan_info, subscan)
    return f"{filename}::/{name}" if filename and name else None


def scan_name(scan_info: Mapping[str, Json], subscan: int = 1) -> str | None:
    """Name of an entry in the file; None for a scan that is not saved, which has no number."""
    number = scan_info["scan_nb"]
    return f"{number}.{subscan}" if number > 0 else None
