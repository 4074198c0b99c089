"""Documents of runs that are over, told again to a callback."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

Callback = Callable[[str, Any], Any]


def replay(headers: Any, callback: Callback | None = None, sort: bool | None = True) -> None:
    """Tell the documents of runs to a callback.

    Args:
        headers: one run or many: of databroker (v1, v2), or anything with ``documents()``, or an
            iterable of ``(name, document)``.
        callback: told ``(name, document)``; None: a ``BestEffortCallback`` of Bluesky.
        sort: True: oldest run first; False: newest first; None: as given.
    """
    told = callback or _best_effort()
    runs = [list(documents_of(one)) for one in _listed(headers)]
    if sort is not None:
        runs.sort(key=_start_time, reverse=not sort)
    for run in runs:
        for name, document in run:
            told(name, document)


def documents_of(run: Any) -> Iterator[tuple[str, Any]]:
    """The documents of one run.

    Args:
        run: as in ``replay``.

    Raises:
        TypeError: it is no run.
    """
    if callable(getattr(run, "documents", None)):
        by_v1 = getattr(getattr(run, "cat", None), "v1", None)
        source = by_v1[run.metadata["start"]["uid"]] if by_v1 is not None else run
        yield from source.documents()
    elif isinstance(run, Iterable) and not isinstance(run, str | bytes | Mapping):
        yield from run
    else:
        raise TypeError(f"{type(run).__name__} is not a run: it has no documents()")


def _listed(headers: Any) -> list[Any]:
    """One run as a list of one."""
    if callable(getattr(headers, "documents", None)):
        return [headers]
    found = list(headers)
    if found and isinstance(found[0], tuple) and isinstance(found[0][0], str):
        return [found]
    return found


def _start_time(run: list[tuple[str, Any]]) -> float:
    for name, document in run:
        if name == "start":
            return float(document.get("time", 0.0))
    return 0.0


def _best_effort() -> Callback:
    from bluesky.callbacks.best_effort import BestEffortCallback  # noqa: PLC0415 - if asked for

    callback: Callback = BestEffortCallback()  # type: ignore[no-untyped-call]
    return callback
