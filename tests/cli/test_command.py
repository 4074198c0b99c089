"""Options declared in dataclasses, and what an error makes of a command."""

import sys
from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from nexus_writer_service.cli.command import grouped, option, run_command
from nexus_writer_service.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Colours:
    """Options of one panel."""

    ink: Annotated[str, option("--ink", "Of the text.", "Colours")] = "black"
    shade: Annotated[float, option("--shade", "Of the ground.", "Colours")] = 0.5


def paint(
    name: Annotated[str, typer.Argument(help="What to paint.")],
    colours: Colours,
    loud: bool = False,
) -> None:
    """Paint."""
    if name == "nothing":
        raise SettingsError("nothing cannot be painted")
    typer.echo(f"{name} {colours} {loud}")


@pytest.fixture
def app():
    app = typer.Typer()
    app.command()(grouped(paint))
    return app


def test_fields_of_a_dataclass_are_options_with_their_defaults(app):
    done = CliRunner().invoke(app, ["house"])
    assert done.output == f"house {Colours()} False\n"


def test_what_is_given_reaches_its_field_and_the_other_parameters(app):
    done = CliRunner().invoke(app, ["--shade", "0.25", "house", "--ink", "red", "--loud"])
    assert done.output == f"house {Colours('red', 0.25)} True\n"


def test_a_value_of_the_wrong_type_is_refused_with_the_name_of_the_option(app):
    done = CliRunner().invoke(app, ["house", "--shade", "dark"])
    assert done.exit_code == 2
    assert "--shade" in done.output


def test_an_error_of_ours_ends_the_command_with_one_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["Paint", "nothing"])
    with pytest.raises(SystemExit, match=r"^Paint: nothing cannot be painted$"):
        run_command("Paint", paint)
