"""``RegisterNexusWriter SESSION``: gives a BLISS session its writer device in the Tango database.

The options and their defaults are those of the reference lineage.
"""

import sys
from enum import StrEnum
from typing import Annotated

import typer

from nexus_writer_service.cli.log_options import (
    LogFile,
    LogFileBackups,
    LogFileErr,
    LogFileOut,
    LogFileSize,
    LogLevel,
    NoLogStdout,
    RedirectStderr,
    RedirectStdout,
    option,
)
from nexus_writer_service.cli.logs import LogOptions, set_up
from nexus_writer_service.errors import WriterError
from nexus_writer_service.model.states import EVERY_SESSION
from nexus_writer_service.tango.discovery import ON_REQUEST_CLASS, WRITER_CLASS
from nexus_writer_service.tango.register import (
    SERVER,
    Registration,
    register_session_writer,
)

_NAMES = "Names"


class WriterClass(StrEnum):
    """Classes of devices."""

    NexusWriter = WRITER_CLASS
    BlissWriter = ON_REQUEST_CLASS


def run(  # noqa: PLR0917 - one parameter for each option, given by name
    session: Annotated[
        str,
        typer.Argument(
            help="BLISS session; it need not exist yet. None with --writer_class BlissWriter: all."
        ),
    ] = "",
    server: Annotated[
        str, option("--server", "Tango server; as given to NexusWriterService.", _NAMES)
    ] = SERVER,
    instance: Annotated[
        str,
        option(
            "--instance",
            "Instance of the server: one process for all devices of it. Default: the session.",
            _NAMES,
        ),
    ] = "",
    domain: Annotated[
        str,
        option(
            "--domain",
            "Domain of the device. Default: the beamline (BEAMLINE, BEAMLINENAME), else id00.",
            _NAMES,
        ),
    ] = "",
    family: Annotated[
        str,
        option(
            "--family",
            "Family of the device. Default: bliss_nxwriter, of a BlissWriter blisswriter.",
            _NAMES,
        ),
    ] = "",
    member: Annotated[
        str, option("--member", "Member of the device. Default: the session.", _NAMES)
    ] = "",
    ignore_existing: Annotated[
        bool,
        option("--ignore_existing", "Register also when the session has a writer.", _NAMES),
    ] = False,
    beacon_host: Annotated[
        str,
        option(
            "--beacon-host",
            "host:port of the session's Beacon, exactly as BEACON_HOST is in BLISS; needed when "
            "several Beacons share the Tango database.",
            _NAMES,
        ),
    ] = "",
    writer_class: Annotated[
        WriterClass,
        option(
            "--writer_class",
            "NexusWriter for SCAN_SAVING.writer = 'nexus', BlissWriter for 'mapping' (BLISS 2.3 "
            "and later). A session can have one of each.",
            _NAMES,
        ),
    ] = WriterClass.NexusWriter,
    redis_url: Annotated[
        str,
        option(
            "--redis_url",
            "Redis database of scans. Default: REDIS_DATA_URL of the server, else Beacon.",
            _NAMES,
        ),
    ] = "",
    log: LogLevel = "WARNING",
    logfile: LogFile = "",
    logfileout: LogFileOut = "",
    logfileerr: LogFileErr = "",
    filesize: LogFileSize = 5,
    filebackups: LogFileBackups = 9,
    nologstdout: NoLogStdout = False,
    redirectstdout: RedirectStdout = False,
    redirectstderr: RedirectStderr = False,
) -> None:
    """Register the Tango device that writes a BLISS session, unless the session has one.

    The database is that of TANGO_HOST. Then start the server: NexusWriterService INSTANCE.
    """
    set_up(
        LogOptions(
            level=log,
            file=logfile,
            file_out=logfileout,
            file_err=logfileerr,
            file_megabytes=filesize,
            file_backups=filebackups,
            no_stdout=nologstdout,
            redirect_stdout=redirectstdout,
            redirect_stderr=redirectstderr,
        )
    )
    if not session and writer_class is WriterClass.NexusWriter:
        raise typer.BadParameter("name the BLISS session that is to get a writer")
    wanted = Registration(
        session=session,
        server=server,
        instance=instance,
        domain=domain,
        family=family,
        member=member,
        beacon_host=beacon_host,
        device_class=writer_class.value,
        redis_url=redis_url,
    )
    done = register_session_writer(wanted, ignore_existing=ignore_existing)
    typer.echo(f"session {session or EVERY_SESSION}: {done.text}")


def main() -> None:
    """Entry point of the command."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(run)
    try:
        app()
    except WriterError as error:
        sys.exit(f"RegisterNexusWriter: {error}")
