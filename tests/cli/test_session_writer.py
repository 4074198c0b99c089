"""What the options of the command mean for the process."""

import pytest
import typer
from typer.testing import CliRunner

from nexus_writer_service.cli import session_writer
from nexus_writer_service.cli.command import grouped
from nexus_writer_service.cli.session_process import ProcessOptions
from nexus_writer_service.errors import SettingsError
from nexus_writer_service.hdf5.options import FileOptions
from nexus_writer_service.layout.esrf import EsrfOptions

runner = CliRunner()


@pytest.fixture
def options_of(monkeypatch):
    """The options that the process gets from a command line."""
    made: list[ProcessOptions] = []

    class Process:
        def __init__(self, options, _connect, disk, _manager) -> None:
            made.append(options)
            disk.stop()

        def run(self):
            return 0

    monkeypatch.setattr(session_writer, "SessionProcess", Process)
    monkeypatch.setattr(session_writer, "set_up", lambda _options: None)
    app = typer.Typer()
    app.command()(grouped(session_writer.run))

    def parse(*arguments: str) -> ProcessOptions:
        done = runner.invoke(app, ["test_session", *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return made[-1]

    return parse


def test_by_default_files_are_kept_as_safe_as_it_goes_without_waiting_for_the_disk(options_of):
    options = options_of()
    assert options.files == FileOptions()
    assert options.catch_up


def test_how_files_are_kept_safe_can_be_chosen(options_of):
    options = options_of(
        *("--durability", "power", "--reader_patience", "7"),
        *("--noprotect", "--nolocks", "--noleases", "--nocatchup"),
    )
    assert options.files == FileOptions(
        durability="power", reader_patience=7.0, protect=False, locks=False, leases=False
    )
    assert not options.catch_up


def test_by_default_scans_are_laid_out_as_bliss_users_know_them(options_of):
    assert options_of().layout == EsrfOptions()


def test_each_save_option_is_handed_on(options_of):
    options = options_of(
        *("--keepshape", "--multivalue_positioners", "--enable_external_nonhdf5", "--noconfig"),
        *("--disable_external_hdf5", "--copy_non_external", "--stackmca"),
        *("--compression", "blosc2-lz4"),
    )
    assert options.layout == EsrfOptions(
        keepshape=True,
        multivalue_positioners=True,
        configurable=False,
        external_hdf5=False,
        external_nonhdf5=True,
        copy_non_external=True,
        stack_mcas=True,
        compression="blosc2-lz4",
    )


def test_maps_are_followed_where_bliss_asks_unless_a_layout_is_chosen(options_of):
    assert options_of().follows == "auto"
    assert options_of("--layout", "mapped").follows == "mapped"


def test_templates_are_read_when_the_command_starts(options_of, tmp_path):
    path = tmp_path / "one.yml"
    path.write_text("template: T\nentry: {mine: 1}", encoding="utf-8")
    assert [one.name for one in options_of("--template", str(path)).templates] == ["T"]
    path.write_text("template: T", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"one\.yml: entry is a mapping"):
        options_of("--template", str(path))


def test_each_option_is_explained_in_a_line():
    app = typer.Typer()
    app.command()(grouped(session_writer.run))
    help_text = runner.invoke(app, ["--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    for name in ("durability", "reader_patience", "noprotect", "nolocks", "noleases", "nocatchup"):
        (line,) = [line for line in help_text.splitlines() if f"--{name}" in line]
        assert len(line.replace("│", "").split(maxsplit=1)[1]) > 20
