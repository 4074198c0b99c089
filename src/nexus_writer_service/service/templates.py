"""Templates of beamlines, read from their files."""

from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

import yaml

from nexus_writer_service.errors import SettingsError
from nexus_writer_service.layout.template import Template, parse

_SUFFIXES = {".yml", ".yaml"}


def load_templates(paths: Iterable[Path]) -> tuple[Template, ...]:
    """The templates in files.

    Args:
        paths: YAML files, and folders: all ``.yml`` and ``.yaml`` files in them, by name.

    Raises:
        SettingsError: a file cannot be read, is no YAML, or no template.
    """
    found: dict[str, Path] = {}
    templates = []
    for path in (file for one in paths for file in _files(one)):
        template = parse(_document(path), str(path))
        if template.name in found:
            raise SettingsError(
                f"template {path}: its name, {template.name}, is that of {found[template.name]}: "
                "give it another one"
            )
        found[template.name] = path
        templates.append(template)
    return tuple(templates)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(one for one in path.iterdir() if one.suffix in _SUFFIXES)
    if not found:
        raise SettingsError(f"template folder {path}: no {' or '.join(sorted(_SUFFIXES))} in it")
    return found


def _document(path: Path) -> object:
    try:
        with path.open(encoding="utf-8") as file:
            document: object = yaml.load(file, _Loader)  # noqa: S506 - a safe loader
    except OSError as error:
        raise SettingsError(f"template {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise SettingsError(f"template {path} is no YAML: {what}") from error
    return document


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """YAML without objects, whose mappings do not silently drop the first of two equal names."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        found: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        if len(found) != len(node.value):
            names = [key.value for key, _ in node.value]
            twice = next((one for one in names if names.count(one) > 1), "<<")
            raise yaml.constructor.ConstructorError(
                None, None, f"the name {twice!r} stands twice in one mapping", node.start_mark
            )
        return found
