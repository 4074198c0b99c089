"""Reading JSON objects whose content nobody guarantees.

What is missing or of another type than promised becomes a default and a warning, never an error: a
scan with a strange title is still a scan.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from nexus_writer_service.model.description import Json

T = TypeVar("T")

_USUAL: dict[object, type] = {str: str, list: list, Mapping: dict}
"""What JSON has of a kind: to ask for its type is cheaper than whether it is one."""


@dataclass
class Fields:
    """A JSON object, its place for people, and what was wrong with it."""

    content: Mapping[str, Json]
    place: str
    """E.g. ``scan 4_ascan: scan info``."""
    warnings: list[str] = field(default_factory=list)

    def text(self, key: str, cost: str = "") -> str | None:
        """A text, None when there is none.

        Args:
            key: which one.
            cost: what it costs when it is missing; without a cost it need not be there.
        """
        found: str | None = self._value(key, str, cost)
        return found

    def number(self, key: str, cost: str = "") -> float | None:
        """A number, None when there is none."""
        found: float | None = self._value(key, (int, float), cost)
        return found

    def integer(self, key: str, cost: str = "") -> int | None:
        """A whole number, None when there is none."""
        found = self.number(key, cost)
        if found is None or found == int(found):
            return None if found is None else int(found)
        self._warn(key, f"is {found}, not a whole number", cost)
        return None

    def flag(self, key: str) -> bool | None:
        """True or false, None when there is neither."""
        found = self.content.get(key)
        if found is None or isinstance(found, bool):
            return found
        self._warn(key, f"is {_kind(found)}, not true or false", "")
        return None

    def object(self, key: str, cost: str = "") -> "Fields":
        """A JSON object; empty when there is none."""
        found: Mapping[str, Json] | None = self._value(key, Mapping, cost)
        return Fields(found or {}, f"{self.place} {key}", self.warnings)

    def objects(self) -> dict[str, "Fields"]:
        """All members, each of which should be a JSON object."""
        found = {}
        for key, value in self.content.items():
            if isinstance(value, Mapping):
                found[key] = Fields(value, f"{self.place} {key}", self.warnings)
            else:
                self._warn(key, f"is {_kind(value)}, not an object", "it is left out")
        return found

    def items(self, key: str, kind: type[T], cost: str = "") -> tuple[T, ...]:
        """The items of one type in a list; others are left out with a warning."""
        found: list[Json] = self._value(key, list, cost) or []
        if any(not isinstance(item, kind) for item in found):
            self._warn(key, f"has items that are not {kind.__name__}", "they are left out")
        return tuple(item for item in found if isinstance(item, kind))

    def warn(self, text: str) -> None:
        """Tell a person about this object."""
        self.warnings.append(f"{self.place}: {text}")

    def _value(self, key: str, kind: type | tuple[type, ...], cost: str) -> Json:
        found = self.content.get(key)
        if found is not None and type(found) is _USUAL.get(kind):
            return found
        if found is None:
            if cost:
                self._warn(key, "is missing", cost)
            return None
        if not isinstance(found, kind) or isinstance(found, bool):
            wanted = {str: "text", list: "a list", Mapping: "an object"}.get(kind, "a number")  # type: ignore[call-overload]
            self._warn(key, f"is {_kind(found)}, not {wanted}", cost)
            return None
        if isinstance(found, float) and not abs(found) < float("inf"):
            self._warn(key, f"is {found}", cost)
            return None
        return found

    def _warn(self, key: str, what: str, cost: str) -> None:
        self.warn(f"{key!r} {what}" + (f": {cost}" if cost else ""))


def _kind(value: Json) -> str:
    names = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list"}
    return names.get(type(value), "an object" if isinstance(value, Mapping) else "nothing")
