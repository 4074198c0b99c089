"""``nexus-writer``: small commands for people at the beamline."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from nexus_writer_service.cli.bluesky import serve
from nexus_writer_service.cli.check import check
from nexus_writer_service.cli.command import grouped
from nexus_writer_service.cli.export import export_runs
from nexus_writer_service.cli.history import history
from nexus_writer_service.cli.recover import recover
from nexus_writer_service.cli.run import run
from nexus_writer_service.cli.supervise import supervise
from nexus_writer_service.errors import WriterError
from nexus_writer_service.hdf5.tree_text import tree_lines

app = typer.Typer(no_args_is_help=True, add_completion=False)
for command in (history, recover, check, supervise):
    app.command()(command)
app.command("run")(grouped(run))
app.command("export")(export_runs)
app.command("bluesky")(serve)


@app.callback()
def nexus_writer() -> None:
    """Tools around the NeXus writer."""


@app.command()
def tree(
    file: Annotated[Path, typer.Argument(help="An HDF5 file; it may be being written.")],
    depth: Annotated[int | None, typer.Option(help="Levels to show.")] = None,
) -> None:
    """Print what is in a file."""
    for line in tree_lines(str(file), max_depth=depth):
        typer.echo(line)


def main() -> None:
    """Entry point of the command."""
    try:
        app()
    except WriterError as error:
        sys.exit(f"nexus-writer: {error}")


if __name__ == "__main__":
    main()
