"""Values out of documents as datasets and attributes."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import numpy as np
import yaml

from nexus_writer_service.model.tree import Attributes, Dataset, Value

_NUMBERS: Final = "biufc"
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def iso(epoch: Any) -> str:
    """Seconds since 1970 as ISO 8601 in the zone of this machine; empty for what is no time."""
    try:
        moment = datetime.fromtimestamp(float(epoch)).astimezone()
    except (TypeError, ValueError, OverflowError, OSError):
        return ""
    return moment.isoformat(timespec="microseconds")


def clean(text: str) -> str:
    """Text as HDF5 can hold it: no zero bytes, no halves of surrogate pairs."""
    if "\0" in text:
        text = text.replace("\0", "")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def metadata_dataset(value: Any, attributes: Attributes, *, tagged: bool) -> Dataset:
    """Any value out of a document: text and numbers as such, all else as YAML text.

    Args:
        value: what ``json`` or ``msgpack`` can carry, and numpy's numbers and arrays.
        attributes: of the dataset.
        tagged: let YAML tell tuples from lists, which safe loaders refuse.
    """
    plain = _as_it_is(value)
    if plain is not None:
        return Dataset(plain, attributes)
    text = yaml_text(value, tagged=tagged)
    return Dataset(text, {**attributes, "text_format": "yaml"})


def _as_it_is(value: Any) -> Value | None:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, bytes):
        return clean(value.decode("utf-8", "replace"))
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 64 else None
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in _NUMBERS:
        return value
    return None


def attribute(value: Any) -> Value:
    """A value as an attribute: numbers and text as such, all else as YAML text."""
    found = _as_it_is(value)
    return yaml_text(value, tagged=False) if found is None else found


def yaml_text(value: Any, *, tagged: bool) -> str:
    """YAML of anything; what YAML does not know is told as text."""
    if tagged:
        try:
            return clean(str(yaml.dump(value)))
        except (TypeError, ValueError, yaml.YAMLError):
            pass  # what cannot be represented is told as text below
    return clean(str(yaml.dump(_plain(value), Dumper=_DUMPER, allow_unicode=True)))


def _plain(value: Any) -> Any:
    """The same in what safe YAML knows: dict, list, text, numbers, None."""
    if value is None or isinstance(value, str | bool | int | float):
        # Subclasses (numpy's float is one of float) are not known to YAML.
        for kind in (bool, int, float, str):
            if isinstance(value, kind):
                return kind(value)
        return None
    if isinstance(value, Mapping):
        return {_key(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist()) if not isinstance(value.tolist(), np.generic) else str(value)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _key(key: Any) -> Any:
    plain = _plain(key)
    return str(plain) if isinstance(plain, list | dict) else plain


def known(number: float) -> bool:
    """Whether a number is one."""
    return not math.isnan(number)
