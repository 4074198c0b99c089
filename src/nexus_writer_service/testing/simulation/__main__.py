"""``python -m nexus_writer_service.testing.simulation URL``: publish demonstration scans."""

from pathlib import Path
from typing import Annotated

import typer

from nexus_writer_service.errors import SettingsError
from nexus_writer_service.testing.simulation.demo import DEMO_SCANS, run_demo_scans
from nexus_writer_service.testing.simulation.session import SimulatedSession


def main(
    url: Annotated[str, typer.Argument(help="Redis database, set up for blissdata.")],
    session: Annotated[str, typer.Option(help="Name of the session.")] = "test_session",
    data_root: Annotated[Path, typer.Option(help="Files go below this folder.")] = Path(),
    scans: Annotated[str, typer.Option(help="Kinds, with commas.")] = ",".join(DEMO_SCANS),
    period: Annotated[float, typer.Option(help="Seconds between points.")] = 0.02,
    writer: Annotated[str, typer.Option(help="Who is to save: external, nexus.")] = "external",
) -> None:
    """Publish demonstration scans like a BLISS session, for a writer to save."""
    simulated = SimulatedSession(url, session, data_root=data_root, data_writer=writer)
    with simulated:
        for kind in scans.split(","):
            try:
                (record,) = run_demo_scans(simulated, period, [kind.strip()])
            except SettingsError as error:
                raise typer.BadParameter(str(error)) from error
            typer.echo(f"{record.name}: {record.title} ({record.end_reason}) {record.path}")


if __name__ == "__main__":
    typer.run(main)
