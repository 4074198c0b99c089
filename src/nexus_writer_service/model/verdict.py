"""What became of a scan: for every channel, how much was published and how much is in the file.

A scan with a missing channel is never called complete.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from nexus_writer_service.model.description import ChannelName


class Outcome(Enum):
    """The verdict in one word."""

    COMPLETE = "complete"
    """All that was published is in the file."""
    INCOMPLETE = "incomplete"
    """The entry is in the file, some of what was published is not."""
    FAILED = "failed"
    """The scan as a whole could not be saved."""


@dataclass(frozen=True, slots=True)
class ChannelTally:
    """How much of a channel was published and written, in points (frames, scans)."""

    channel: ChannelName
    published: int | None
    """None when the channel was never sealed, so that nobody knows."""
    written: int
    problems: tuple[str, ...] = ()
    """What went wrong with this channel; empty when nothing did."""
    files_missing: tuple[str, ...] = ()
    """Detector files that were announced and are not there."""

    @property
    def complete(self) -> bool:
        """Whether every published point is in the file."""
        return self.published == self.written and not self.problems and not self.files_missing


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a scan."""

    outcome: Outcome
    reasons: tuple[str, ...] = ()
    """Why it is not complete; empty when it is."""
    warnings: tuple[str, ...] = ()
    """What a person should know although nothing is missing."""
    channels: tuple[ChannelTally, ...] = ()

    @property
    def summary(self) -> str:
        """One sentence for people."""
        points = sum(tally.written for tally in self.channels)
        text = f"{self.outcome.value}: {points} points in {len(self.channels)} channels"
        if self.reasons:
            text += "; " + "; ".join(self.reasons)
        return text

    def as_json(self) -> str:
        """The whole verdict as JSON text, for the file and the history."""
        document: dict[str, Any] = {
            "outcome": self.outcome.value,
            "reasons": list(self.reasons),
            "warnings": list(self.warnings),
            "channels": {
                tally.channel: _tally_document(tally)
                for tally in sorted(self.channels, key=lambda one: one.channel)
            },
        }
        return json.dumps(document, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Verdict":
        """The verdict that ``as_json`` gave; its channels are in the order of their names.

        Raises:
            ValueError: this is no JSON text, or an outcome that this version does not know.
            LookupError: a part is missing.
        """
        document = json.loads(text)
        return cls(
            Outcome(document["outcome"]),
            tuple(document["reasons"]),
            tuple(document["warnings"]),
            tuple(_tally(name, tally) for name, tally in document["channels"].items()),
        )


def _tally(name: str, document: dict[str, Any]) -> ChannelTally:
    return ChannelTally(
        ChannelName(name),
        document["published"],
        document["written"],
        tuple(document.get("problems", ())),
        tuple(document.get("files_missing", ())),
    )


def _tally_document(tally: ChannelTally) -> dict[str, Any]:
    document: dict[str, Any] = {"published": tally.published, "written": tally.written}
    if tally.problems:
        document["problems"] = list(tally.problems)
    if tally.files_missing:
        document["files_missing"] = list(tally.files_missing)
    return document


def judge(
    tallies: Iterable[ChannelTally],
    *,
    failure: str | None = None,
    problems: Iterable[str] = (),
    warnings: Iterable[str] = (),
) -> Verdict:
    """The verdict over a scan.

    Args:
        tallies: one per channel that is to be saved.
        failure: why the scan as a whole could not be saved, if so.
        problems: what else is missing in the file (metadata, plots, links), or cut the scan short.
        warnings: what a person should know although nothing is missing.
    """
    channels = tuple(tallies)
    reasons = [*([failure] if failure else []), *problems]
    reasons += [_reason(tally) for tally in channels if not tally.complete]
    outcome = Outcome.INCOMPLETE if reasons else Outcome.COMPLETE
    if failure:
        outcome = Outcome.FAILED
    return Verdict(outcome, tuple(reasons), tuple(warnings), channels)


def _reason(tally: ChannelTally) -> str:
    parts = []
    if tally.published is None and not tally.problems:
        parts.append(f"{tally.written} points written, end of the channel not seen")
    elif tally.published not in (None, tally.written):
        parts.append(f"{tally.written} of {tally.published} points written")
    parts += tally.problems
    if tally.files_missing:
        shown = ", ".join(tally.files_missing[:3])
        more = len(tally.files_missing) - 3
        parts.append(f"missing files: {shown}" + (f" and {more} more" if more > 0 else ""))
    return f"channel {tally.channel}: " + ", ".join(parts)
