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
    RUNNING = "running"
    """It is being written."""
    INTERRUPTED = "interrupted"
    """Its writer was stopped before the scan ended; a writer may go on with it."""

    @property
    def final(self) -> bool:
        """Whether it says how the scan ended."""
        return self not in (Outcome.RUNNING, Outcome.INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Gap:
    """Points ``start .. stop - 1`` of a channel that were lost; fill stands in their place."""

    start: int
    stop: int
    reason: str

    @property
    def text(self) -> str:
        """For people."""
        return f"points {self.start} to {self.stop - 1} lost: {self.reason}"


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
    gaps: tuple[Gap, ...] = ()
    """Points that were lost, in order."""
    external: tuple[str, ...] = ()
    """Detector files that the dataset shows."""

    @property
    def complete(self) -> bool:
        """Whether every published point is in the file."""
        troubles = self.problems or self.files_missing or self.gaps
        return self.published == self.written and not troubles


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
        parts = list(self.reasons)
        if self.channels or self.outcome is Outcome.COMPLETE:
            # Without tallies nobody has counted, which is not the same as no points.
            points = sum(tally.written for tally in self.channels)
            parts.insert(0, f"{points} points in {len(self.channels)} channels")
        return ": ".join(filter(None, (self.outcome.value, "; ".join(parts))))

    def document(self) -> dict[str, Any]:
        """The whole verdict as a JSON document."""
        return {
            "outcome": self.outcome.value,
            "reasons": list(self.reasons),
            "warnings": list(self.warnings),
            "channels": {
                tally.channel: _tally_document(tally)
                for tally in sorted(self.channels, key=lambda one: one.channel)
            },
        }

    def as_json(self) -> str:
        """The whole verdict as JSON text, for the history."""
        return json.dumps(self.document(), ensure_ascii=False)

    @classmethod
    def from_document(cls, document: Any) -> "Verdict":
        """The verdict that ``document`` gave; its channels are in the order of their names.

        Raises:
            ValueError: an outcome that this version does not know.
            LookupError: a part is missing.
        """
        return cls(
            Outcome(document["outcome"]),
            tuple(document["reasons"]),
            tuple(document["warnings"]),
            tuple(_tally(name, tally) for name, tally in document["channels"].items()),
        )

    @classmethod
    def from_json(cls, text: str) -> "Verdict":
        """The verdict that ``as_json`` gave.

        Raises:
            ValueError: this is no JSON text, or as ``from_document``.
            LookupError: a part is missing.
        """
        return cls.from_document(json.loads(text))


def _tally(name: str, document: dict[str, Any]) -> ChannelTally:
    return ChannelTally(
        ChannelName(name),
        document["published"],
        document["written"],
        tuple(document.get("problems", ())),
        tuple(document.get("files_missing", ())),
        tuple(Gap(*gap) for gap in document.get("gaps", ())),
        tuple(document.get("external", ())),
    )


def _tally_document(tally: ChannelTally) -> dict[str, Any]:
    document: dict[str, Any] = {"published": tally.published, "written": tally.written}
    more: dict[str, list[Any]] = {
        "problems": list(tally.problems),
        "files_missing": list(tally.files_missing),
        "gaps": [[gap.start, gap.stop, gap.reason] for gap in tally.gaps],
        "external": list(tally.external),
    }
    return document | {name: values for name, values in more.items() if values}


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
    parts += [gap.text for gap in tally.gaps]
    parts += tally.problems
    if tally.files_missing:
        shown = ", ".join(tally.files_missing[:3])
        more = len(tally.files_missing) - 3
        parts.append(f"missing files: {shown}" + (f" and {more} more" if more > 0 else ""))
    return f"channel {tally.channel}: " + ", ".join(parts)
