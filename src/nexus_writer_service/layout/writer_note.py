"""The writer's note in an NXentry: whose scan it is, how far it is, what became of it.

It is there from the start, so that whoever finds the file after a crash knows which scan an entry
belongs to and whether its writer has finished it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.tree import Dataset, Group
from nexus_writer_service.model.verdict import Outcome, Verdict

NOTE = "writer"
"""Name of the NXnote in the entry."""
DATA = f"{NOTE}/data"
"""Path of its JSON document in the entry."""

RUN_ENGINE = "bluesky"
"""The source of runs that a Bluesky RunEngine told: nobody can go on with one that died."""

_STATUS = {Outcome.RUNNING: "RUNNING", Outcome.COMPLETE: "SUCCEEDED"}


@dataclass(frozen=True, slots=True)
class WriterNote:
    """What a note says."""

    scan: ScanKey
    verdict: Verdict
    source: str = ""
    """Where its data came from; empty for scans that Redis holds, and in older files."""
    others: tuple[str, ...] = ()
    """Other files with entries of the scan, relative to the directory of this one."""

    @property
    def over(self) -> bool:
        """Whether a writer has finished the entry: nobody will go on with it."""
        return self.verdict.outcome.final


def writer_note(
    scan: ScanKey, verdict: Verdict, source: str = "", others: Sequence[str] = ()
) -> Group:
    """The NXnote for a verdict; merged with what the layout adds.

    Args:
        scan: whose entry it is.
        verdict: the one so far, or the last one.
        source: where its data come from [``WriterNote``].
        others: files with entries of the scan [``WriterNote``].
    """
    more = {"source": source, "files": list(others)}
    document = {"scan": scan, **{key: one for key, one in more.items() if one}}
    document |= verdict.document()
    return Group(
        {
            "status": Dataset(_STATUS.get(verdict.outcome, "FAILED")),
            "type": Dataset("application/json"),
            "data": Dataset(json.dumps(document)),
            "description": Dataset(_text(verdict.summary)),
        },
        {"NX_class": "NXnote"},
    )


def _text(value: str) -> str:
    """The text as HDF5 can hold it: no zero bytes, no halves of surrogate pairs."""
    return value.replace("\0", "").encode("utf-8", "replace").decode()


def read_writer_note(text: str | None) -> WriterNote | None:
    """What the JSON document of a note says; None when it is not one of ours."""
    try:
        document = json.loads(text or "null")
        verdict = Verdict.from_document(document)
        source, others = str(document.get("source", "")), tuple(document.get("files", ()))
        return WriterNote(ScanKey(str(document["scan"])), verdict, source, tuple(map(str, others)))
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
