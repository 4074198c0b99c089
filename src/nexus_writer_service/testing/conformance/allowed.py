"""What our files hold beyond, or other than, what the NeXus definitions say: each with its reason.

NeXus lets base classes be extended; a validator only warns. The list is explicit so that each new
extension is a decision. Anything that is not here is a finding.
"""

import re
from dataclasses import dataclass

_FIELD = "This field is not defined"


@dataclass(frozen=True, slots=True)
class Extension:
    """One kind of message of the validator that is not a finding."""

    nx_class: str
    """Class of the group that holds the item."""
    item: str
    """Name of the field or group; "@name" for an attribute; "*" for all."""
    message: str
    """How the validator's message begins; "" for any."""
    reason: str

    def covers(self, nx_class: str, item: str, message: str) -> bool:
        """Whether this is the extension that the validator speaks of."""
        return (
            self.nx_class in (nx_class, "*")
            and self.item in (item, "*")
            and re.match(self.message, message) is not None
        )


ALLOWED: tuple[Extension, ...] = (
    Extension("NXroot", "@publisher", "", "Who announced the scans; the ESRF layout has it."),
    Extension("NXroot", "@publisher_version", "", "Version of the publisher; the ESRF layout."),
    Extension("NXroot", "@create_version", "", "creator_version as ESRF readers know it."),
    Extension("NXroot", "@instrument", "", "Name of the instrument in the Bluesky layout."),
    Extension("NXentry", "end_reason", _FIELD, "How the scan ended: SUCCESS, USER_ABORT..."),
    Extension("NXentry", "plan_name", _FIELD, "The Bluesky layout links the plan's name here."),
    Extension("NXentry", "duration", ".*valid NX_INT", "Bluesky runs last fractions of a second."),
    Extension(
        "NXentry", "notes", "notes should have a class", "ESRF: a collection, a note per comment."
    ),
    Extension(
        "NXsubentry",
        "*",
        "NXsource is an invalid class in NXsubentry",
        "NXmx wants its source right in the entry, and subentries have what entries have.",
    ),
    Extension(
        "NXnote", "*", _FIELD, "writer/status and the documents of Bluesky: a note as a container."
    ),
    Extension("NXnote", "@uid", "", "Unique id of the Bluesky stream that the note holds."),
    Extension(
        "NXnote",
        "*",
        "NX(detector|positioner) is an invalid class in NXnote",
        "The Bluesky layout keeps devices in instrument/detectors and instrument/positioners.",
    ),
    Extension(
        "NXdetector", "*", _FIELD, "Channels and settings of a device keep the names BLISS gives."
    ),
    Extension(
        "NXdetector",
        "data",
        ".*valid NX_NUMBER",
        "A counter of true and false stays one; images that stay elsewhere are texts path::index.",
    ),
    Extension("NXpositioner", "value", ".*valid NX_NUMBER", "A shutter is open or not."),
    Extension(
        "NXpositioner", "*", _FIELD, "Channels and settings of an axis keep the names BLISS gives."
    ),
    Extension(
        "NXmonochromator", "*", _FIELD, "The Bluesky layout: settings as the baseline has them."
    ),
    Extension(
        "NXinsertion_device", "*", _FIELD, "The Bluesky layout: settings as the baseline has them."
    ),
    Extension("NXsource", "*", _FIELD, "The Bluesky layout: cycle and fill number of the ring."),
    Extension("NXsubentry", "*", _FIELD, "APPxrf of BLISS 1: i0, it, mca, live_time..."),
    Extension("NXsample", "*", _FIELD, "Users describe their samples in their own words."),
    Extension("*", "*", "Units of NX_ANY not specified", "A counter may have no unit."),
)
