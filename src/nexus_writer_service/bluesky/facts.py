"""What a writer knows of one run, under the names that subclasses use."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from nexus_writer_service.layout.bluesky.view import data_map

T = TypeVar("T")

_PRIMARY: Final = "primary"
_NOT_METADATA: Final = ("scan_id", "time", "uid")
_LAZY: Final = ("data", "time")


class Record(dict[str, Any]):
    """What is known of one data key of a descriptor.

    ``data`` and ``time`` are read from the file while the methods of subclasses run, as values are
    not kept in memory; before that they are empty lists.
    """

    def __init__(self, key: str, described: Mapping[str, Any]) -> None:
        super().__init__(
            source=described.get("source", "local"),
            dtype=described.get("dtype", ""),
            shape=described.get("shape", []),
            units=described.get("units", ""),
            lower_ctrl_limit=described.get("lower_ctrl_limit", ""),
            upper_ctrl_limit=described.get("upper_ctrl_limit", ""),
            precision=described.get("precision", 0),
            object_name=described.get("object_name", key),
            data=[],
            time=[],
            external=described.get("external") is not None,
        )
        self.load: Callable[[str], list[Any]] | None = None
        """Reads ``data`` or ``time``."""

    def __getitem__(self, name: str) -> Any:
        if name in _LAZY and self.load is not None and not super().__getitem__(name):
            self[name] = self.load(name)
        return super().__getitem__(name)


@dataclass
class RunFacts:
    """What a writer knows of one run; names are those of the attributes of ``NXWriter``."""

    acquisitions: dict[str, dict[str, Any]] = field(default_factory=dict)
    detectors: list[str] = field(default_factory=list)
    diffractometers: dict[str, Any] = field(default_factory=dict)
    doc_timestamp: float | None = None
    exit_status: str | None = None
    externals: dict[str, dict[str, Any]] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    plan_name: str | None = None
    positioners: list[str] = field(default_factory=list)
    data_map: dict[str, list[str]] = field(default_factory=dict)
    scan_id: Any = None
    scanning: bool = False
    start_time: float | None = None
    stop_reason: str | None = None
    stop_time: float | None = None
    streams: dict[str, list[str]] = field(default_factory=dict)
    uid: str | None = None
    target: Path | None = None
    """The file as chosen when the run began."""
    chosen: bool = False
    """It was chosen by ``file_name``."""
    refusal: BaseException | None = None
    """Why there is no file."""

    def start(self, document: Mapping[str, Any]) -> None:
        """Learn from a start document."""
        self.plan_name = document.get("plan_name", "")
        self.scan_id = document.get("scan_id", 0) or 0
        self.start_time = document.get("time")
        self.uid = document.get("uid")
        self.detectors = list(document.get("detectors") or [])
        self.positioners = list(document.get("positioners") or document.get("motors") or [])
        self.metadata = {key: value for key, value in document.items() if key not in _NOT_METADATA}
        self.scanning = True

    def descriptor(self, document: Mapping[str, Any], start: Mapping[str, Any]) -> None:
        """Learn from an event descriptor."""
        stream, uid = document["name"], document["uid"]
        self.streams.setdefault(stream, []).append(uid)
        records = {key: Record(key, one) for key, one in document["data_keys"].items()}
        self.acquisitions[uid] = {"stream": stream, "data": records}
        if stream == _PRIMARY:
            self.data_map = data_map(start, document)
        self.diffractometers |= orientations(document)

    def stop(self, document: Mapping[str, Any]) -> None:
        """Learn from a stop document."""
        self.exit_status = document.get("exit_status")
        self.stop_reason = document.get("reason") or "not available"
        self.stop_time = document.get("time")
        self.scanning = False

    def records(self) -> Iterator[tuple[str, str, Record]]:
        """Stream, data key and record of all data keys."""
        for acquisition in self.acquisitions.values():
            for key, record in acquisition["data"].items():
                yield acquisition["stream"], key, record


def orientations(descriptor: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """How crystals lie in the diffractometers that an event descriptor configures, by name.

    Diffractometers of hklpy name the parts of their configuration that say so.
    """
    found = {}
    for device, said in (descriptor.get("configuration") or {}).items():
        values = (said or {}).get("data") or {}
        prefix = f"{device}_"
        names = values.get(f"{prefix}orientation_attrs")
        if names is not None:
            found[device] = {
                name: values[prefix + name] for name in names if prefix + name in values
            }
    return found


class OfRun(Generic[T]):
    """An attribute of a writer that belongs to the run which is spoken of.

    That is the newest one; and, while the methods of a subclass write a file, the one of the file.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, writer: Any, owner: type | None = None) -> T:
        if writer is None:
            return self  # type: ignore[return-value]
        found: T = getattr(writer.facts, self._name)
        return found

    def __set__(self, writer: Any, value: T) -> None:
        setattr(writer.facts, self._name, value)
