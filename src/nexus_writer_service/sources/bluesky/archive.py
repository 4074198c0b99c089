"""Runs out of archives: databroker 1 and 2, Tiled, recordings, and whatever else tells documents.

Nothing of databroker or Tiled is imported: their runs are known by what they can do.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nexus_writer_service.errors import DecodeError, SourceError
from nexus_writer_service.sources.bluesky.recording import (
    Document,
    RecordedRun,
    is_recording,
    runs_of,
)

Run = Any
"""A run or several, as ``archived_runs`` takes them."""
Receiver = Callable[[str, dict[str, Any]], Any]
"""Takes documents, as a subscriber of the RunEngine does."""


class ArchivedRun(Protocol):
    """A run that can be told again."""

    @property
    def start(self) -> Mapping[str, Any]:
        """Its start document."""

    def documents(self) -> Iterator[Document]:
        """All its documents, from the start document on."""


@dataclass(frozen=True, slots=True)
class ToldRun:
    """A run given by its documents, or by something that tells them."""

    start: Mapping[str, Any]
    tell: Callable[[], Iterable[Any]]

    def documents(self) -> Iterator[Document]:
        """All its documents, from the start document on."""
        for name, doc in self.tell():
            # databroker's documents are a class of their own, with tuples for lists.
            yield str(name), doc if isinstance(doc, dict) else dict(doc)


def archived_runs(runs: Run) -> list[ArchivedRun]:
    """The runs that this stands for, in the order given.

    Args:
        runs: one of these, or a list, tuple or catalog of them:
            a run of databroker (``cat.v1[...]``, ``cat.v2[...]``) or Tiled (``client[uid]``),
            the path of a recording, or of a folder with recordings,
            a list of ``(name, document)`` pairs.

    Raises:
        TypeError: it is none of these.
        SourceUnavailableError: a path cannot be read.
        DecodeError: a recording is damaged, or has no start document.
    """
    return list(_each(runs))


def _each(runs: Run) -> Iterator[ArchivedRun]:
    match runs:
        case str() | Path():
            yield from _of_path(Path(runs))
        case RecordedRun() | ToldRun():
            yield runs
        case Sequence() if _are_documents(runs):
            yield _of_documents(runs)
        case _ if _tells_documents(runs):
            yield ToldRun(_start_of(runs), lambda: _told_by(runs))
        case Mapping():
            # Catalogs are mappings from uid to run.
            yield from (run for one in runs.values() for run in _each(one))
        case Iterable():
            yield from (run for one in runs for run in _each(one))
        case _:
            raise TypeError(
                f"{type(runs).__module__}.{type(runs).__qualname__} is no run: expected a run of "
                "databroker or Tiled, the path of a recording, or a list of (name, document)"
            )


def _of_path(path: Path) -> Iterator[ArchivedRun]:
    if path.is_dir():
        for one in sorted(path.rglob("*")):
            if is_recording(one):
                yield from runs_of(one)
        return
    runs = runs_of(path)
    if not runs:
        raise DecodeError(f"recording {path} holds no start document, so no run")
    yield from runs


def _are_documents(runs: Sequence[Any]) -> bool:
    return bool(runs) and isinstance(runs[0], tuple) and isinstance(runs[0][0], str)


def _of_documents(pairs: Sequence[Any]) -> ArchivedRun:
    name, doc = pairs[0]
    if name != "start":
        raise DecodeError(f"a run begins with its start document, this one with {name!r}")
    return ToldRun(doc, lambda: pairs)


def _tells_documents(run: Any) -> bool:
    return callable(getattr(run, "documents", None))


def _start_of(run: Any) -> Mapping[str, Any]:
    start = getattr(run, "start", None)  # databroker 1
    if start is None:
        start = run.metadata["start"]  # databroker 2, Tiled
    return dict(start)


def _told_by(run: Any) -> Iterable[Any]:
    """Its documents, external data left as references: the writer resolves them."""
    documents = run.documents
    fill = inspect.signature(documents).parameters.get("fill")
    if fill is None:
        told: Iterable[Any] = documents()
        return told
    # databroker 2 has no default and wants a word, the others a flag.
    unfilled = False if fill.default in (True, False) else "no"
    return documents(fill=unfilled)  # type: ignore[no-any-return]


def replay(runs: Run, callback: Receiver | None = None, sort: bool | None = True) -> None:
    """Give the documents of archived runs to a callback, one run after the other.

    When the callback belongs to a writer (``writer.receiver``), its files are complete on return.

    Args:
        runs: one run or several: see ``archived_runs``.
        callback: takes ``(name, document)``; None: a ``BestEffortCallback`` of bluesky.
        sort: True: the earliest run first; False: the latest first; None: as given.

    Raises:
        TypeError: this is no run.
        SourceError: a run cannot be read; the message names it.
    """
    receiver = _best_effort() if callback is None else callback
    wait = _waiting(receiver)
    archived = archived_runs(runs)
    if sort is not None:
        archived.sort(key=_time_of, reverse=not sort)
    for run in archived:
        try:
            for name, doc in run.documents():
                receiver(name, doc)
        except SourceError as error:
            error.add_note(f"while run {run.start.get('uid')} was replayed")
            raise
        wait()


def _time_of(run: ArchivedRun) -> float:
    return float(run.start.get("time") or 0)


def _waiting(receiver: Receiver) -> Callable[[], Any]:
    """What waits for the writer that a receiver belongs to."""
    owner = getattr(receiver, "__self__", receiver)
    wait: Callable[[], Any] = getattr(owner, "wait_writer", lambda: None)
    return wait


def _best_effort() -> Receiver:
    from bluesky.callbacks.best_effort import BestEffortCallback  # noqa: PLC0415 - takes a second

    callback: Receiver = BestEffortCallback()
    return callback
