"""``nexus-writer recover`` as a command, and what files hold after it."""

import h5py
from tests.support_left import LATE_POINTS, POINTS
from typer.testing import CliRunner

from nexus_writer_service.cli.main import app

ALL = POINTS + LATE_POINTS


def recover(*arguments):
    run = CliRunner().invoke(app, ["recover", *map(str, arguments)])
    assert run.exception is None or isinstance(run.exception, SystemExit), run.exception
    return run.exit_code, run.output


def values(path, entry="1.1"):
    with h5py.File(path) as file:
        return file[f"{entry}/data/x"][()]
