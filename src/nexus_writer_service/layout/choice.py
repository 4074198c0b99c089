"""Which layout a scan is written in: the classic one, or the maps that it brings along."""

from collections.abc import Sequence
from typing import Final

from nexus_writer_service.layout.esrf import EsrfOptions
from nexus_writer_service.layout.esrf import plan as classic_plan
from nexus_writer_service.layout.h5map import plan as mapped_plan
from nexus_writer_service.layout.plan import ScanPlan
from nexus_writer_service.layout.template import Template, templated
from nexus_writer_service.model.description import ScanDescription

AUTO: Final = "auto"
CLASSIC: Final = "classic"
MAPPED: Final = "mapped"
LAYOUTS: Final = (AUTO, CLASSIC, MAPPED)
"""auto: scans that bring maps are written as mapped, unless BLISS chose a writer that makes the
layout itself. classic: never. mapped: always."""

_OWN_LAYOUT: Final = ("nexus", "external", "internal", "hdf5")
"""Writers of BLISS that make the layout themselves. BLISS 2.4 brings maps along for them, too, as
far as they are ready within half a second: for readers, so they say nothing about the file."""


def plan(
    scan: ScanDescription,
    options: EsrfOptions,
    layout: str = AUTO,
    templates: Sequence[Template] = (),
) -> ScanPlan:
    """The plan of a prepared scan (or of one that ended before it was prepared).

    Args:
        scan: its description.
        options: how it is saved.
        layout: one of ``LAYOUTS``.
        templates: add to scans in the classic layout; maps are followed as they are.

    Raises:
        LayoutError: the scan has no absolute file path, or none of its maps can be followed.
    """
    wanted = layout == MAPPED or (layout == AUTO and scan.data_writer not in _OWN_LAYOUT)
    if scan.h5maps and wanted:
        return mapped_plan(scan, options)
    return templated(classic_plan(scan, options), scan, templates)
