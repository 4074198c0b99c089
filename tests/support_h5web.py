"""What h5web shows first of a file, found as it finds it: over h5grove, by its documented rules.

https://h5web.panosc.eu, "NeXus": the ``default`` attributes are followed from the root; where there
is none, the first NXdata, else the first NXentry, else the first NXprocess is entered. The NXdata
needs a ``signal`` attribute that names a dataset of numbers; axes are datasets of numbers or ".".
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from h5grove.content import (
    DatasetContent,
    GroupContent,
    ResolvedEntityContent,
    get_content_from_file,
)


@dataclass(frozen=True)
class Shown:
    """The plot that is shown."""

    path: str
    signal: str
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    auxiliary: tuple[str, ...]


def shown_by_h5web(file: Path | str) -> Shown | None:
    """The plot that is shown when a file is opened; None if there is none.

    Raises:
        AssertionError: h5web would show an error in its place.
    """
    path = "/"
    for _ in range(8):
        about, attributes = _group(file, path)
        if attributes.get("NX_class") == "NXdata" and "signal" in attributes:
            return _plot(file, path, attributes)
        name = attributes.get("default") or _implicit(file, path, about)
        if not name:
            return None
        path = name if name.startswith("/") else f"{path.rstrip('/')}/{name}"
    raise AssertionError(f"{file}: the default leads in a circle")


def _implicit(file: Path | str, path: str, children: list[str]) -> str | None:
    classes = {}
    for name in children:
        with get_content_from_file(str(file), f"{path.rstrip('/')}/{name}", _refuse) as content:
            if isinstance(content, GroupContent):
                classes[name] = content.attributes().get("NX_class")
    for wanted in ("NXdata", "NXentry", "NXprocess"):
        for name, nx_class in classes.items():
            if nx_class == wanted:
                return name
    return None


def _plot(file: Path | str, path: str, attributes: dict[str, Any]) -> Shown:
    signal = attributes["signal"]
    assert isinstance(signal, str)
    axes = _names(attributes.get("axes", []))
    auxiliary = _names(attributes.get("auxiliary_signals", []))
    shape = _shape(file, f"{path}/{signal}")
    for name in auxiliary:
        assert _shape(file, f"{path}/{name}") == shape, name
    for dim, name in enumerate(axes):
        if name != ".":
            (length,) = _shape(file, f"{path}/{name}")
            expected = shape[dim] if dim < len(shape) else shape[0]
            assert length in (expected, expected + 1), name
    return Shown(path, signal, shape, axes, auxiliary)


def _names(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _group(file: Path | str, path: str) -> tuple[list[str], dict[str, Any]]:
    with get_content_from_file(str(file), path, _refuse) as content:
        assert isinstance(content, GroupContent), path
        children = [child["name"] for child in content.metadata()["children"]]
        return children, dict(content.attributes())


def _shape(file: Path | str, path: str) -> tuple[int, ...]:
    """Shape of a dataset of numbers, whose values are served."""
    with get_content_from_file(str(file), path, _refuse) as content:
        assert isinstance(content, DatasetContent), path
        assert isinstance(content, ResolvedEntityContent), path
        data = content.data()
        assert data.dtype.kind in "biufc", path
        assert data.shape, path
        return tuple(content.metadata()["shape"])


def _refuse(_code: int, message: str) -> Exception:
    return AssertionError(message)
