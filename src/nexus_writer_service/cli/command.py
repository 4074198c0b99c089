"""Commands whose options stand in dataclasses: declared once, shared by whole groups."""

import functools
import inspect
import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

import typer

from nexus_writer_service.errors import WriterError


def option(name: str, text: str, panel: str) -> Any:
    """An option of a command.

    Args:
        name: with its dashes.
        text: what the help says.
        panel: where in the help.
    """
    return typer.Option(name, help=text, rich_help_panel=panel)


def grouped(function: Callable[..., None]) -> Callable[..., None]:
    """The function with one parameter for each field of its parameters that are dataclasses.

    Typer makes an option of each parameter; the function gets them back as the dataclasses that
    it names. Names of fields must differ within a command.
    """
    groups: dict[str, type[Any]] = {}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        kind = parameter.annotation
        if isinstance(kind, type) and is_dataclass(kind):
            groups[name] = kind
            parameters += _parameters(kind)
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(function)
    def command(**values: Any) -> None:
        made = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        function(**values, **made)

    signature = inspect.Signature(parameters)
    command.__signature__ = signature  # type: ignore[attr-defined]  # what inspect looks for
    command.__annotations__ = {
        name: parameter.annotation for name, parameter in signature.parameters.items()
    }
    return command


def _parameters(group: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]


def run_command(name: str, function: Callable[..., None]) -> None:
    """The entry point of a command: errors of this package end it with one line, not a trace.

    Args:
        name: of the command, as it was typed.
        function: its options are those of :func:`grouped`.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(grouped(function))
    try:
        app()
    except WriterError as error:
        sys.exit(f"{name}: {error}")
