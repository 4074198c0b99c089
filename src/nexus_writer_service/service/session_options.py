"""How the scans of one session are to be saved."""

from dataclasses import dataclass, field
from pathlib import Path

from nexus_writer_service.hdf5.options import FileOptions
from nexus_writer_service.layout.esrf import EsrfOptions
from nexus_writer_service.service.clock import Clock, SystemClock


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How the scans of one session are to be saved."""

    session: str
    layout: EsrfOptions = field(default_factory=EsrfOptions)
    data_writers: tuple[str, ...] = ("external",)
    roots: tuple[str, ...] = ()
    """Directories that files must be under; empty allows every absolute path."""
    profiling: str = "OFF"
    history: Path | None = None
    """The file that keeps the verdicts; None: nothing does."""
    catch_up: bool = True
    """Save also scans that were created before the start, as far as the source still has them."""
    files: FileOptions = field(default_factory=FileOptions)
    """How files are kept safe."""
    clock: Clock = field(default_factory=SystemClock)
    """Time; tests move it."""
