"""What became of a run, for people and scripts."""

from dataclasses import dataclass
from pathlib import Path

from nexus_writer_service.model.verdict import Outcome, Verdict


@dataclass(frozen=True, slots=True)
class RunResult:
    """What became of one run."""

    uid: str
    """Of its start document."""
    file: Path | None
    """Where it is; None when no file could be made."""
    verdict: Verdict
    """What of it is in the file, and what is not."""
    error: BaseException | None = None
    """The first exception of a method of a subclass, if there was one."""

    @property
    def ok(self) -> bool:
        """Whether all that the documents tell is in the file."""
        return self.verdict.outcome is Outcome.COMPLETE and self.error is None

    def __str__(self) -> str:
        return f"run {self.uid[:7]}: {self.verdict.summary} ({self.file})"
