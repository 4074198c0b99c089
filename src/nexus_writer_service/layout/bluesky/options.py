"""How the file of a run is to look."""

from dataclasses import dataclass

NEXUS_RELEASE = "v2020.1"


@dataclass(frozen=True, slots=True)
class BlueskyOptions:
    """How the file of a run is to look; names are those of ``NXWriter``."""

    creator: str = "NXWriter"
    """Name of the class that writes."""
    nexus_release: str = NEXUS_RELEASE
    instrument_name: str | None = None
    """Root attribute ``instrument``."""
    nxdata_signal: str | None = None
    """Data key that /entry/data plots; None: the first detector that has numbers."""
    nxdata_signal_axes: tuple[str, ...] | None = None
    """Data keys that are its axes; None: the motors."""
    template_key: str = "nxwriter_template"
    """Key of the start document that holds the templates."""
    title: str | None = None
    """None: the title of the start document, or one made of scan_id, plan_name and uid."""
    aps: bool = False
    """Source and undulator of the Advanced Photon Source."""
    as_apstools: bool = False
    """Write what apstools writes also where that is no valid NeXus, or no safe YAML."""
    copy_external_files: bool = False
    """Copy what detectors have in files of their own, instead of mapping it."""
    omitted: frozenset[str] = frozenset()
    """Parts that are left to others: source, sample, user, monochromator..."""
