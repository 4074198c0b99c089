"""How the scans of one session are to be saved, and where they come from."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from nexus_writer_service.hdf5.options import FileOptions
from nexus_writer_service.layout.choice import AUTO
from nexus_writer_service.layout.esrf import EsrfOptions
from nexus_writer_service.layout.template import Template
from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.service.clock import Clock, SystemClock

if TYPE_CHECKING:
    from nexus_writer_service.service.session_writer import Source


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How the scans of one session are to be saved."""

    session: str
    """Its name; empty: all sessions of a database."""
    layout: EsrfOptions = field(default_factory=EsrfOptions)
    follows: str = AUTO
    """Which scans are written by the maps that they bring along [``layout/choice``]."""
    templates: tuple[Template, ...] = ()
    """What a beamline adds to the entries of the classic layout."""
    data_writers: tuple[str, ...] = ("external",)
    roots: tuple[str, ...] = ()
    """Directories that files must be under; empty allows every absolute path."""
    profiling: str = "OFF"
    history: Path | None = None
    """The file that keeps the verdicts; None: nothing does."""
    catch_up: bool = True
    """Save also scans that were created before the start, as far as the source still has them."""
    on_request: bool = False
    """Save also scans that somebody asks for, and pass over what is for other writers."""
    files: FileOptions = field(default_factory=FileOptions)
    """How files are kept safe."""
    clock: Clock = field(default_factory=SystemClock)
    """Time; tests move it."""


class Connect(Protocol):
    """Makes the source of scans, and holds what makes sure that only one writer has it."""

    def __call__(self, backlog: Backlog) -> "Source":
        """Make the source that tells this much of the past."""

    def release(self) -> None:
        """Let another writer have the session; called when all files are closed."""
