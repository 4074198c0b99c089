"""``RegisterNexusWriter SESSION``: gives a BLISS session its writer device in the Tango database.

The options and their defaults are those of the reference lineage.
"""

from dataclasses import dataclass
from typing import Annotated

import typer

from nexus_writer_service.cli.command import option, run_command
from nexus_writer_service.cli.logs import LogOptions, set_up
from nexus_writer_service.tango.register import (
    FAMILY,
    SERVER,
    Registration,
    register_session_writer,
)

_NAMES = "Names"


@dataclass(frozen=True, slots=True)
class NameOptions:
    """What the device and its server are called."""

    server: Annotated[
        str, option("--server", "Tango server; as given to NexusWriterService.", _NAMES)
    ] = SERVER
    instance: Annotated[
        str,
        option(
            "--instance",
            "Instance of the server: one process for all devices of it. Default: the session.",
            _NAMES,
        ),
    ] = ""
    domain: Annotated[
        str,
        option(
            "--domain",
            "Domain of the device. Default: the beamline (BEAMLINE, BEAMLINENAME), else id00.",
            _NAMES,
        ),
    ] = ""
    family: Annotated[str, option("--family", "Family of the device.", _NAMES)] = FAMILY
    member: Annotated[
        str, option("--member", "Member of the device. Default: the session.", _NAMES)
    ] = ""
    ignore_existing: Annotated[
        bool,
        option("--ignore_existing", "Register also when the session has a writer.", _NAMES),
    ] = False
    beacon_host: Annotated[
        str,
        option(
            "--beacon-host",
            "host:port of the session's Beacon, exactly as BEACON_HOST is in BLISS; needed when "
            "several Beacons share the Tango database.",
            _NAMES,
        ),
    ] = ""


def run(
    session: Annotated[str, typer.Argument(help="BLISS session; it need not exist yet.")],
    names: NameOptions,
    log: LogOptions,
) -> None:
    """Register the Tango device that writes a BLISS session, unless the session has one.

    The database is that of TANGO_HOST. Then start the server: NexusWriterService INSTANCE.
    """
    set_up(log)
    wanted = Registration(
        session=session,
        server=names.server,
        instance=names.instance,
        domain=names.domain,
        family=names.family,
        member=names.member,
        beacon_host=names.beacon_host,
    )
    done = register_session_writer(wanted, ignore_existing=names.ignore_existing)
    typer.echo(f"session {session}: {done.text}")


def main() -> None:
    """Entry point of the command."""
    run_command("RegisterNexusWriter", run)
