"""What was measured: one sample for each run of a case by a subject, and medians over the runs."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Self

Values = dict[str, float]
"""Measured quantities by name; times in seconds, memory and files in units of 1e6 bytes."""


@dataclass(slots=True)
class Outcome:
    """What came of one run."""

    values: Values = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    """What is wrong in the files; empty: every value has been compared and is right."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run."""

    row: str
    case: str
    subject: str
    load: float
    """Load average of the machine when it began."""
    values: Values
    problems: list[str]


@dataclass(frozen=True, slots=True)
class Samples:
    """All runs, and where they were made."""

    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    """Of the writers, and of the server as ``redis``."""
    samples: list[Sample] = field(default_factory=list)

    def find(self, row: str, case: str, subject: str) -> list[Sample]:
        """The runs of one case by one subject."""
        wanted = (row, case, subject)
        return [one for one in self.samples if (one.row, one.case, one.subject) == wanted]

    def values(self, row: str, case: str, subject: str, quantity: str) -> list[float]:
        """A quantity in each run that has it."""
        found = self.find(row, case, subject)
        return [one.values[quantity] for one in found if quantity in one.values]

    def median(self, row: str, case: str, subject: str, quantity: str) -> float:
        """Median over the runs; NaN where there are none."""
        found = self.values(row, case, subject, quantity)
        return float(median(found)) if found else math.nan

    def cases(self) -> Sequence[tuple[str, str, str]]:
        """Row, case and subject of all that was measured, in order."""
        return list(dict.fromkeys((one.row, one.case, one.subject) for one in self.samples))

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """From such a file."""
        document = json.loads(path.read_text())
        samples = [Sample(**one) for one in document.pop("samples")]
        return cls(**document, samples=samples)


def greatest(values: Iterable[float]) -> float:
    """The greatest value; NaN where there is none."""
    return max(values, default=math.nan)
