"""What the gate reports."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One place where a file breaks one rule."""

    path: str
    """Absolute path of the object in the file."""
    rule: str
    """One of file, name, class, nxdl, text, time, units, link, virtual, default, data; application
    for what an application definition wants."""
    text: str
    """What is wrong there, for people."""

    def __str__(self) -> str:
        return f"{self.path}: {self.text} [{self.rule}]"
