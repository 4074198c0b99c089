"""What a row of the table is: what is measured of whom, and which promises it has."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from bench.measure import drain
from bench.samples import Outcome, Samples
from bench.workloads import Workload
from bench.writers import FLOOR, OURS, POWER, REFERENCE, Writer

Act = Callable[[str], Outcome]
"""Does one run, with the URL of a database."""


@dataclass(frozen=True, slots=True)
class Job:
    """One case of a row by one subject."""

    case: str
    subject: str
    act: Act
    once: bool = False
    """Not repeated: it is shown for comparison only, or takes very long."""


@dataclass(frozen=True, slots=True)
class Check:
    """One promise."""

    text: str
    target: float
    value: Callable[[Samples, str], float]
    """From the samples and the subject: ours, or ours in another setting, or the floor."""
    at_least: bool = True
    """Otherwise at most."""
    digits: int = 1

    def met(self, value: float) -> bool:
        """Whether a value holds the promise."""
        return value >= self.target if self.at_least else value <= self.target


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table."""

    name: str
    title: str
    jobs: Sequence[Job]
    checks: Sequence[Check]


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of it."""

    tiny: bool = False
    """Does it run, is every value right: no speeds."""
    soak_seconds: float = 120.0

    def points(self, points: int, tiny: int) -> int:
        """One of the two."""
        return tiny if self.tiny else points


Subjects = dict[str, Writer]
"""Writers by name; the reference is not always there."""


def drains(subjects: Subjects, workload: Workload, *names: str) -> list[Job]:
    """A scan that is over, by some subjects; by all, if none is named."""
    return [
        Job(workload.name, name, partial(drain, subjects[name], workload))
        for name in names or (OURS, POWER, REFERENCE, FLOOR)
        if name in subjects
    ]


def of_reference(row: str, case: str, quantity: str, samples: Samples, subject: str) -> float:
    """What the reference takes, by what the subject takes."""
    mine = samples.median(row, case, subject, quantity)
    return samples.median(row, case, REFERENCE, quantity) / mine if mine else math.nan


def cheaper(row: str, case: str, target: float) -> Check:
    """How many times the CPU of the reference is that of the subject."""
    value = partial(of_reference, row, case, "cpu")
    return Check(f"CPU of blisswriter / CPU, {case}", target, value)


def within(row: str, case: str, quantity: str, most: float, text: str, digits: int = 2) -> Check:
    """The median of a quantity, at most so much."""

    def value(samples: Samples, subject: str) -> float:
        return samples.median(row, case, subject, quantity)

    return Check(text, most, value, at_least=False, digits=digits)
