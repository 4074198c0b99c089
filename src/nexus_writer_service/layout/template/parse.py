"""Templates out of what their YAML files hold; whatever is wrong is told with its place."""

from collections.abc import Mapping
from typing import Any

from nexus_writer_service.errors import SettingsError
from nexus_writer_service.layout.template.items import (
    ChannelData,
    Constant,
    Item,
    Items,
    Link,
    Metadata,
    Template,
    When,
)
from nexus_writer_service.model.description import Json

_KINDS = ("value", "metadata", "channel", "device", "link")
"""What an item can be; a mapping that has one of these and no NX_class is no group."""
_KEYS = {
    "value": {"at"},
    "metadata": {"at", "default", "optional"},
    "channel": {"optional"},
    "device": {"optional"},
    "link": set[str](),
}
_CONDITIONS = ("title", "name", "session")
_CLASS = ("NX_class", "@NX_class")


def parse(document: object, source: str) -> Template:
    """The template in a document.

    Args:
        document: as a YAML or JSON reader gives it.
        source: where it comes from, for messages.

    Raises:
        SettingsError: it is no template; says what is wrong, and where.
    """
    return _Parser(source).template(document)


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source

    def template(self, document: object) -> Template:
        found = self._mapping(document, "")
        self._only(found, {"template", "for", "entry"}, "")
        name = found.get("template")
        if not isinstance(name, str) or not name:
            raise self._wrong("template", "gives the template a name: a text")
        conditions = self._mapping(found.get("for") or {}, "for")
        self._only(conditions, set(_CONDITIONS), "for")
        titles, names, sessions = (
            self._patterns(conditions.get(key), f"for/{key}") for key in _CONDITIONS
        )
        entry = self._mapping(found.get("entry"), "entry")
        if any(key in entry for key in _CLASS):
            raise self._wrong("entry", "is an NXentry, whose NX_class cannot be chosen")
        items = self._items(entry, "entry", "")
        if not items.children and not items.attributes:
            raise self._wrong("entry", "is empty: nothing would be added to any scan")
        return Template(name, items, titles, names, sessions)

    # ------------------------------------------------------------------------------ items

    def _items(self, group: Mapping[str, Any], where: str, nx_class: str) -> Items:
        attributes: dict[str, Json] = {}
        attributes_of: dict[str, dict[str, Json]] = {}
        children: dict[str, Item] = {}
        for key, value in group.items():
            if key in _CLASS:
                continue
            name, is_attribute, attribute = key.partition("@")
            place = f"{where}/{key}"
            if not is_attribute:
                self._check_name(name, place)
                children[name] = self._item(value, place)
            elif not attribute:
                raise self._wrong(place, "names no attribute behind the @")
            elif name:
                attributes_of.setdefault(name, {})[attribute] = self._json(value, place)
            else:
                attributes[attribute] = self._json(value, place)
        for name, of in attributes_of.items():
            if not isinstance(children.get(name), Constant | Metadata):
                attribute = next(iter(of))
                raise self._wrong(
                    f"{where}/{name}@{attribute}",
                    f"is an attribute of {name!r}, which is no value here: give groups their "
                    'attributes inside ("@name"); what is linked has its own',
                )
        return Items(nx_class, attributes, children, attributes_of)

    def _item(self, value: object, where: str) -> Item:
        if not isinstance(value, Mapping):
            return Constant(self._json(value, where))
        found = self._mapping(value, where)
        nx_class = next((found[key] for key in _CLASS if key in found), None)
        if nx_class is not None:
            if not isinstance(nx_class, str) or not nx_class.startswith("NX"):
                raise self._wrong(where, f"has an NX_class that is none: {nx_class!r}")
            return self._items(found, where, nx_class)
        kinds = [key for key in _KINDS if key in found]
        if len(kinds) != 1:
            raise self._wrong(
                where,
                f"is a group without NX_class, or an item without exactly one of "
                f"{', '.join(_KINDS)}: give it one",
            )
        (kind,) = kinds
        self._only(found, {kind, *_KEYS[kind]}, where)
        return self._of_kind(kind, found, where)

    def _of_kind(self, kind: str, found: Mapping[str, Any], where: str) -> Item:
        if kind == "value":
            return Constant(self._json(found[kind], where), self._when(found, When.START, where))
        text = found[kind]
        if not isinstance(text, str) or not text.strip("/"):
            raise self._wrong(f"{where}/{kind}", f"is a text, not {text!r}")
        if kind == "link":
            return Link(text.strip("/"))
        optional = found.get("optional", False)
        if not isinstance(optional, bool):
            raise self._wrong(f"{where}/optional", f"is true or false, not {optional!r}")
        if kind == "metadata":
            default = self._json(found.get("default"), f"{where}/default")
            when = self._when(found, When.ALWAYS, where)
            return Metadata(text.strip("/"), when, default, optional)
        return ChannelData(text, kind == "device", optional)

    def _when(self, found: Mapping[str, Any], default: When, where: str) -> When:
        value = found.get("at", default)
        try:
            return When(value)
        except ValueError:
            raise self._wrong(
                f"{where}/at", f"is {value!r}, not one of {', '.join(When)}"
            ) from None

    # ------------------------------------------------------------------------------ checks

    def _check_name(self, name: str, where: str) -> None:
        if not name or "/" in name or name in {".", ".."}:
            raise self._wrong(where, "has a name that HDF5 cannot give to one object")

    def _mapping(self, value: object, where: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise self._wrong(where, f"is a mapping (name: item), not {value!r}")
        if wrong := [key for key in value if not isinstance(key, str)]:
            raise self._wrong(where, f"has the name {wrong[0]!r}, which is no text: quote it")
        return value

    def _only(self, found: Mapping[str, Any], known: set[str], where: str) -> None:
        if unknown := sorted(set(found) - known):
            raise self._wrong(
                where, f"has {unknown[0]!r}, which is none of {', '.join(sorted(known))}"
            )

    def _patterns(self, value: object, where: str) -> tuple[str, ...]:
        values = value if isinstance(value, list) else [value]
        if value is None:
            return ()
        if not values or not all(isinstance(one, str) and one for one in values):
            raise self._wrong(where, f"is a shell pattern or a list of them, not {value!r}")
        return tuple(values)

    def _json(self, value: object, where: str) -> Json:
        """A value as metadata can be: a date of YAML, for one, is none."""
        if isinstance(value, list):
            return [self._json(one, where) for one in value]
        if value is None or isinstance(value, str | bool | int | float):
            return value
        raise self._wrong(where, f"is a {type(value).__name__} ({value}): quote it to be a text")

    def _wrong(self, where: str, what: str) -> SettingsError:
        return SettingsError(f"template {self._source}: {where or 'the document'} {what}")
