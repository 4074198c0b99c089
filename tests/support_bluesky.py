"""Bluesky documents made step by step, and writers that put their files into a folder."""

from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

import numpy as np

Document = dict[str, Any]
Told = tuple[str, Document]

EPOCH = 1_700_000_000.0


class Run:
    """One run: each method gives the next document, as ``(name, document)``.

    Args:
        number: scan_id; uids are made of it.
        more: what else is in the start document.
    """

    def __init__(self, number: int = 1, **more: Any) -> None:
        self.uid = f"{number:08x}-0000-4000-8000-000000000000"
        self._numbers = count(1)
        self._seq: dict[str, int] = {}
        self.more = {"plan_name": "scan", "detectors": ["det"], "motors": ["motor"], **more}
        self.number = number

    def _uid(self) -> str:
        return f"{next(self._numbers):08x}-{self.uid[:4]}-4000-9000-{self.uid[:8]}0000"

    def start(self) -> Told:
        return "start", {"uid": self.uid, "time": EPOCH, "scan_id": self.number, **self.more}

    def descriptor(
        self, keys: Mapping[str, Any] | Iterable[str], name: str = "primary", **more: Any
    ) -> Told:
        """``keys``: what is said of each data key, or their names for numbers."""
        described = keys if isinstance(keys, Mapping) else {key: {} for key in keys}
        data_keys = {
            key: {"source": "SIM:x", "dtype": "number", "shape": [], **said}
            for key, said in described.items()
        }
        return "descriptor", {
            "uid": self._uid(),
            "run_start": self.uid,
            "time": EPOCH,
            "name": name,
            "data_keys": data_keys,
            "configuration": {},
            "hints": {},
            "object_keys": {key: [key] for key in data_keys},
            **more,
        }

    def event(self, descriptor: Told, seq_num: int | None = None, /, **data: Any) -> Told:
        """An event with these values, a tenth of a second after the one before."""
        stream = descriptor[1]["name"]
        number = seq_num or self._seq.get(stream, 0) + 1
        self._seq[stream] = number
        moment = EPOCH + number / 10
        return "event", {
            "uid": self._uid(),
            "descriptor": descriptor[1]["uid"],
            "time": moment,
            "seq_num": number,
            "data": data,
            "timestamps": dict.fromkeys(data, moment),
            "filled": {},
        }

    def stop(self, **more: Any) -> Told:
        return "stop", {
            "uid": self._uid(),
            "run_start": self.uid,
            "time": EPOCH + 10,
            "exit_status": "success",
            "reason": "",
            "num_events": dict(self._seq),
            **more,
        }


def scan(run: Run, points: int = 5) -> list[Told]:
    """A whole scan of a detector over a motor."""
    descriptor = run.descriptor(["det", "motor"])
    events = [run.event(descriptor, det=float(n * n), motor=float(n)) for n in range(points)]
    return [run.start(), descriptor, *events, run.stop()]


def feed(writer: Any, documents: Iterable[Told]) -> None:
    for name, document in documents:
        writer.receiver(name, document)


def only(results: Iterable[Any]) -> Any:
    """The one result that there is."""
    (result,) = results
    return result


def values(file: Any, key: str, stream: str = "primary", item: str = "value") -> Any:
    """The values of a data key in an open file; texts as a list."""
    dataset = file[f"/entry/instrument/bluesky/streams/{stream}/{key}/{item}"]
    found = dataset[()]
    if isinstance(found, np.ndarray) and found.dtype.kind == "O":
        return dataset.asstr()[()].tolist()
    return found
