"""``nexus-writer recover`` as a command, and what files hold after it."""

import h5py
from tests.support_left import LATE_POINTS, POINTS
from typer.testing import CliRunner

from nexus_writer_service.cli.main import app
from nexus_writer_service.layout.writer_note import DATA, read_writer_note

ALL = POINTS + LATE_POINTS


_NO_REDIS = {"REDIS_DATA_URL": None, "BEACON_HOST": None}


def recover(*arguments):
    run = CliRunner().invoke(app, ["recover", *map(str, arguments)], env=_NO_REDIS)
    assert run.exception is None or isinstance(run.exception, SystemExit), run.exception
    return run.exit_code, run.output


def values(path, entry="1.1"):
    with h5py.File(path) as file:
        return file[f"{entry}/data/x"][()]


def verdict_of(path, entry="1.1"):
    with h5py.File(path) as file:
        note = read_writer_note(file[f"{entry}/{DATA}"].asstr()[()])
    assert note is not None
    return note.verdict
