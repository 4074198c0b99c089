import logging
import sys

import pytest

from nexus_writer_service.cli.logs import LogOptions, set_up
from nexus_writer_service.errors import SettingsError


@pytest.fixture(autouse=True)
def own_logging(monkeypatch):
    """Leave the logging of the test process as it was."""
    root = logging.getLogger()
    ours = logging.getLogger("nexus_writer_service")
    before, levels = list(root.handlers), (root.level, ours.level)
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    yield
    for handler in set(root.handlers) - set(before):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    logging.captureWarnings(capture=False)


log = logging.getLogger("nexus_writer_service.test")


def test_records_below_warning_go_to_stdout_the_others_to_stderr(capsys):
    set_up(LogOptions(log="info"))
    log.info("all is well")
    log.warning("look here")
    out, err = capsys.readouterr()
    assert "INFO " in out
    assert "all is well" in out
    assert "look here" not in out
    assert "WARN " in err
    assert "look here" in err
    assert "all is well" not in err


def test_the_default_level_is_warning(capsys):
    set_up(LogOptions())
    log.info("all is well")
    assert capsys.readouterr().out == ""


def test_stdout_can_be_kept_quiet(capsys):
    set_up(LogOptions(log="INFO", nologstdout=True))
    log.info("all is well")
    assert capsys.readouterr().out == ""


def test_files_get_their_share(tmp_path, capsys):
    everything, out, err = (tmp_path / name for name in ("all.log", "out.log", "err.log"))
    set_up(LogOptions("INFO", str(everything), str(out), str(err)))
    log.info("all is well")
    log.error("trouble")
    assert "all is well" in everything.read_text()
    assert "trouble" in everything.read_text()
    assert "all is well" in out.read_text()
    assert "trouble" not in out.read_text()
    assert "trouble" in err.read_text()
    assert "all is well" not in err.read_text()
    capsys.readouterr()


def test_files_rotate_at_their_size(tmp_path, capsys):
    path = tmp_path / "all.log"
    set_up(LogOptions("INFO", str(path), filesize=0.001, filebackups=2))
    for number in range(100):
        log.info("record %d %s", number, "x" * 50)
    capsys.readouterr()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["all.log", "all.log.1", "all.log.2"]


def test_prints_become_records_on_request(capsys, tmp_path):
    path = tmp_path / "all.log"
    set_up(LogOptions("INFO", str(path), redirectstdout=True, redirectstderr=True))
    print("printed")
    print("complained", file=sys.stderr)
    text = path.read_text()
    assert "nexus_writer_service.stdout: printed" in text
    assert "nexus_writer_service.stderr: complained" in text
    capsys.readouterr()


def test_an_unknown_level_is_refused():
    with pytest.raises(SettingsError, match="loud"):
        set_up(LogOptions(log="loud"))


def test_a_log_file_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="cannot write"):
        set_up(LogOptions(logfile=str(tmp_path / "missing" / "all.log")))
