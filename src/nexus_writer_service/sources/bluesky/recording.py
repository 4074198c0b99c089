"""Recordings of runs: files with documents, one after the other.

Read are

- JSON lines ``{"name": ..., "doc": {...}}``, as ``Recorder`` writes them; also with record
  separators (the JSON sequences that Tiled exports) and as the list of bluesky's ``JSONWriter``,
- JSON lines ``[name, doc]`` and MessagePack of the same (the packages suitcase-jsonl and
  suitcase-msgpack),

each also compressed by gzip. Nothing in a recording is ever executed: no pickle.
"""

import gzip
import json
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self, cast

from nexus_writer_service.errors import DecodeError, SourceUnavailableError
from nexus_writer_service.sources.bluesky.encoding import (
    UNPACKING,
    from_json,
    message_pack,
    pack,
    to_json,
)

Document = tuple[str, dict[str, Any]]
"""Name and document, as the RunEngine gives them to its subscribers."""

JSON_SUFFIXES: Final = (".jsonl", ".json", ".json-seq")
PACKED_SUFFIXES: Final = (".msgpack", ".mpk")
_AROUND_LINES: Final = b" \t\r\n\x1e"
"""Besides white space, what begins a record of a JSON sequence (RFC 7464)."""
_LARGEST: Final = 2**31 - 1
"""Bytes of one packed document."""

_Placed = tuple[int, str, dict[str, Any]]
"""Where in the file a document begins, its name, and the document."""


def is_recording(path: Path) -> bool:
    """Whether the name of a file says that it is one."""
    return _suffix(path) in JSON_SUFFIXES + PACKED_SUFFIXES


def read_recording(path: str | Path) -> Iterator[Document]:
    """The documents of a recording, in the order in which they were recorded.

    A last document that was cut off, by a program that died while it recorded, is left out.

    Raises:
        SourceUnavailableError: the file cannot be opened.
        DecodeError: it is no recording, or damaged; the message names the place.
    """
    for _, name, doc in _placed(Path(path)):
        yield name, doc


def runs_of(path: str | Path) -> list["RecordedRun"]:
    """The runs of a recording, in the order of their start documents; it is read once for that.

    Raises:
        SourceUnavailableError: the file cannot be opened.
        DecodeError: it is no recording, or damaged.
    """
    path = Path(path)
    documents = _placed(path, starts_only=True)
    return [RecordedRun(path, place, doc) for place, name, doc in documents if name == "start"]


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """One run of a recording. ``documents`` reads it whenever it is called, and keeps nothing."""

    path: Path
    place: int
    """Where in the file its start document is, in bytes."""
    start: dict[str, Any]

    def documents(self) -> Iterator[Document]:
        """Its documents, up to its stop document; those of runs open at the same time left out.

        Raises:
            DecodeError: the recording is damaged.
        """
        membership = _Membership(str(self.start.get("uid")))
        for _, name, doc in _placed(self.path, self.place):
            if membership.of(name, doc):
                yield name, doc
                if name == "stop":
                    return


class _Membership:
    """Tells which documents belong to a run."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._latest = run
        self._parts: set[str] = set()  # uids of its descriptors and resources

    def of(self, name: str, doc: Mapping[str, Any]) -> bool:
        """Whether this document belongs to it."""
        match name:
            case "start":
                self._latest = str(doc.get("uid"))
                return self._latest == self._run
            case "stop":
                return bool(doc.get("run_start") == self._run)
            case "descriptor" | "resource" | "stream_resource":
                # Resources of old databrokers do not name their run: they are of the latest one.
                member = bool((doc.get("run_start") or self._latest) == self._run)
                if member:
                    self._parts.add(str(doc.get("uid")))
                return member
            case "datum" | "datum_page":
                return doc.get("resource") in self._parts
            case "bulk_events":
                return not self._parts.isdisjoint(doc)
        return doc.get("descriptor") in self._parts


def _placed(path: Path, place: int = 0, *, starts_only: bool = False) -> Iterator[_Placed]:
    """Documents with their places, from a place on.

    Args:
        path: of the recording.
        place: in bytes, as such documents came with it.
        starts_only: others may be left out.
    """
    reader = _packed if _suffix(path) in PACKED_SUFFIXES else _lines
    try:
        with open(path, "rb") as file:
            plain = _plain(file)
            plain.seek(place)
            yield from reader(path, plain, starts_only)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DecodeError(f"recording {path} is damaged: {error}") from error
    except OSError as error:
        raise SourceUnavailableError(f"cannot read recording {path}: {error}") from error


def _suffix(path: Path) -> str:
    return Path(path.stem).suffix if path.suffix == ".gz" else path.suffix


def _plain(file: IO[bytes]) -> IO[bytes]:
    compressed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if compressed else file


def _lines(path: Path, file: IO[bytes], starts_only: bool) -> Iterator[_Placed]:
    place = file.tell()
    for line in file:
        here, place = place, place + len(line)
        text = line.strip(_AROUND_LINES)
        if text in (b"", b"[", b"]") or (starts_only and b'"start"' not in text):
            continue
        where = f"recording {path} at byte {here}"
        try:
            record = json.loads(text.removesuffix(b","))
        except ValueError as error:
            if not line.endswith(b"\n"):
                return
            raise DecodeError(f"{where}: this line is not JSON: {error}") from error
        name, doc = _named(record, where)
        yield here, name, from_json(doc)


def _packed(path: Path, file: IO[bytes], starts_only: bool) -> Iterator[_Placed]:
    msgpack = message_pack()
    first = place = file.tell()
    unpacker = msgpack.Unpacker(file, max_buffer_size=_LARGEST, **UNPACKING)
    try:
        for record in unpacker:
            here, place = place, first + unpacker.tell()
            name, doc = _named(record, f"recording {path} at byte {here}")
            if not starts_only or name == "start":
                yield here, name, from_json(doc)
    except DecodeError:
        raise
    except (msgpack.UnpackException, ValueError) as error:
        raise DecodeError(
            f"recording {path} at byte {place}: this is not MessagePack: {error}"
        ) from error


def _named(record: Any, where: str) -> Document:
    match record:
        case {"name": str(name), "doc": dict(doc)} | [str(name), dict(doc)]:
            return name, doc
    raise DecodeError(f"{where} holds no document: expected its name and the document itself")


class Recorder:
    """Writes documents to a file as they come: ``RE.subscribe(Recorder("run.jsonl"))``.

    Every document is in the file when the call returns. The file must not exist. Names that end in
    ``.msgpack`` make MessagePack, all others JSON lines; ``.gz`` behind it compresses.

    Raises:
        FileExistsError: the file exists.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        self._packed = _suffix(path) in PACKED_SUFFIXES
        self._raw: IO[bytes] = open(path, "xb")  # noqa: SIM115 - closed by close()
        self._file: IO[bytes] = self._raw
        if path.suffix == ".gz":
            self._file = cast("IO[bytes]", gzip.GzipFile(fileobj=self._raw, mode="wb", mtime=0))

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Record one document."""
        if self._packed:
            line = pack([name, doc])
        else:
            record = {"name": name, "doc": to_json(doc), "t": time.time()}
            text = json.dumps(record, allow_nan=False, ensure_ascii=False)
            line = f"{text}\n".encode("utf-8", "surrogatepass")
        self._file.write(line)
        self._file.flush()

    def close(self) -> None:
        """End the recording."""
        self._file.close()
        self._raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
