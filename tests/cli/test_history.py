"""``nexus-writer history``: tables and explanations for people, plain text for programs."""

from pathlib import Path

import pytest
from tests.support_history import over, recorded
from typer.testing import CliRunner

from nexus_writer_service.cli.history import default_history
from nexus_writer_service.cli.main import app, main
from nexus_writer_service.errors import SettingsError


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "history.sqlite"
    recorded(
        path,
        over(1),
        over(2, written=7, warnings=("little room",)),
        over(3, session="other", failure="no room: " + "x" * 200),
        over(1, key="again", minute=9),
    )
    return path


def output_of(path, *arguments):
    run = CliRunner().invoke(app, ["history", f"--history={path}", *arguments])
    assert run.exit_code == 0, run.output
    return run.output


def test_the_table_is_newest_first_with_whole_lines(path):
    heading, *lines = output_of(path).splitlines()
    assert heading.split() == ["ended", "session", "scan", "verdict", "where"]
    assert [line.split()[3] for line in lines] == ["1_ascan", "3_ascan", "2_ascan", "1_ascan"]
    assert "x" * 200 in lines[1]
    assert "/data/sample.h5::/2.1" in lines[2]


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (("--session", "other"), 1),
        (("--failed",), 2),
        (("--limit", "3"), 3),
        (("--since", "2026-11-20"), 4),
        (("--since", "2026-11-20T10:00:00", "--failed", "--session", "test_session"), 1),
    ],
)
def test_scans_can_be_chosen(path, arguments, count):
    assert len(output_of(path, *arguments).splitlines()) == 1 + count


def test_a_terminal_gets_a_table_that_keeps_what_it_cannot_fit(path, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    output = output_of(path)
    assert "\x1b[" in output
    assert output.count("x") > 200  # folded over lines, not cut


def test_one_scan_is_explained(path):
    output = output_of(path, "2_ascan")
    assert "scan 2_ascan of session test_session: incomplete" in output
    assert "- channel axis:robx: 7 of 10 points written" in output
    assert output.count("little room") == 1
    (line,) = [line for line in output.splitlines() if line.startswith("  axis:robx")]
    assert line.split() == ["axis:robx", "10", "7"]


def test_of_scans_with_one_name_the_newest_is_explained_and_the_others_named(path):
    output = output_of(path, "1_ascan")
    assert "key      again" in output
    assert output.splitlines()[-1].endswith("scan:test_session:1")
    assert "again" not in output_of(path, "scan:test_session:1")


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("absent.sqlite", (), "there is no history"),
        ("history.sqlite", ("99_ascan",), "no such scan in the history"),
        ("history.sqlite", ("--since", "2099-01-01"), "no such scan in the history"),
    ],
)
def test_finding_nothing_is_said_and_is_an_error(path, name, arguments, message, monkeypatch):
    file = path.with_name(name)
    monkeypatch.setattr("sys.argv", ["nexus-writer", "history", f"--history={file}", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert message in str(caught.value.code)  # a text: status 1, and on stderr
    assert str(file) in str(caught.value.code)


@pytest.mark.parametrize("given", [None, "", "relative/path"])
def test_without_an_absolute_state_home_it_is_in_the_user_s_own(given, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    found = default_history({} if given is None else {"XDG_STATE_HOME": given})
    assert found == tmp_path / ".local/state/nexus_writer_service/history.sqlite"


def test_the_state_home_of_the_environment_counts():
    found = default_history({"XDG_STATE_HOME": "/state"})
    assert found == Path("/state/nexus_writer_service/history.sqlite")


def test_a_user_without_a_home_is_told_to_name_a_file(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(SettingsError, match="--history"):
        default_history({})
