"""The files that link to a scan."""

import os.path
from typing import Any


def master_files(saving: Any) -> dict[str, str]:
    """Absolute paths of the files with links to a scan, by what they are for.

    With a file per scan, ``dataset``: the file of the dataset. Below the data policy of the ESRF,
    ``dataset_collection`` and ``proposal``: those of the collection and of the proposal, one and
    two folders above the dataset.

    Args:
        saving: ``SCAN_SAVING`` of the scan; it selects a writer that saves.
    """
    file = saving.writer_object.get_filename()
    if not file:
        return {}
    file = os.path.abspath(file)
    extension = os.path.splitext(file)[1]
    collection = os.path.dirname(os.path.dirname(file))
    found: dict[str, str] = {}
    if getattr(saving.writer_object, "separate_scan_files", None):
        found["dataset"] = file
    if saving.data_policy == "ESRF":
        proposal = saving.proposal_name
        found["dataset_collection"] = os.path.join(
            collection, f"{proposal}_{saving.collection_name}{extension}"
        )
        found["proposal"] = os.path.join(
            os.path.dirname(collection), f"{proposal}_{saving.beamline}{extension}"
        )
    return found
