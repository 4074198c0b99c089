"""``nexus-writer history``: tables and explanations for people, plain text for programs."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support_history import ended, left, over, recorded, running
from typer.testing import CliRunner

from nexus_writer_service.cli.main import app, main
from nexus_writer_service.errors import SettingsError
from nexus_writer_service.model.description import ChannelName
from nexus_writer_service.model.verdict import ChannelTally, Gap, judge
from nexus_writer_service.service.history_place import default_history


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


@pytest.fixture
def unfinished(tmp_path):
    """A history with a scan that runs, one that was left, and one that is over."""
    path = tmp_path / "unfinished.sqlite"
    recorded(
        path,
        running(4, started=4, now=4),
        left(running(5, started=5, now=5), minute=6),
        ended(running(6, started=6, now=7), over(6, minute=8)),
    )
    return path


def test_a_scan_that_runs_is_in_the_table_with_its_start_and_in_the_same_columns(unfinished):
    _, first, *others = output_of(unfinished).splitlines()
    assert first.startswith("not ended")
    assert "  running since 2026-11-21 1" in first
    assert "/data/sample.h5::/4.1" in first
    assert [line.split()[3] for line in (first, *others)] == ["4_ascan", "6_ascan", "5_ascan"]


@pytest.mark.parametrize(
    ("arguments", "scans"),
    [
        (("--running",), ["4_ascan", "5_ascan"]),
        (("--failed",), ["5_ascan"]),
        (("--running", "--failed"), ["5_ascan"]),
        (("--since", "2026-11-23"), ["4_ascan"]),
    ],
)
def test_unfinished_scans_can_be_chosen(unfinished, arguments, scans):
    _, *lines = output_of(unfinished, *arguments).splitlines()
    assert [line.split()[3] for line in lines] == scans


def test_a_terminal_shows_scans_that_run(unfinished, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    assert "running since" in output_of(unfinished)


def test_the_states_of_a_scan_are_explained_with_their_times(unfinished):
    lines = output_of(unfinished, "6_ascan").splitlines()
    states = lines[lines.index("states:") + 1 :][:3]
    assert [line.split()[2] for line in states] == ["INIT", "ON", "OFF"]
    assert states[1].endswith("accepting data")
    assert states[2].split()[0] == "2026-11-21"


def test_a_scan_that_no_writer_has_finished_is_explained_with_what_to_do(unfinished):
    assert "its writer was killed and could not tell" in output_of(unfinished, "4_ascan")
    output = output_of(unfinished, "5_ascan")
    assert "interrupted" in output.splitlines()[0]
    assert "killed" not in output
    assert "nexus-writer recover" in output
    assert "nexus-writer recover" not in output_of(unfinished, "6_ascan")


def test_gaps_and_detector_files_are_explained_channel_by_channel(tmp_path):
    tallies = [
        ChannelTally(
            *(ChannelName("cam:image"), 100, 90),
            problems=("it stopped early",),
            files_missing=("/data/late.h5",),
            external=tuple(f"/data/img_{number:04}.h5" for number in range(30)),
        ),
        ChannelTally(ChannelName("axis:robx"), 100, 100, gaps=(Gap(3, 7, "it was trimmed"),)),
    ]
    path = tmp_path / "history.sqlite"
    recorded(path, replace(over(1), verdict=judge(tallies)))
    lines = output_of(path, "1_ascan").splitlines()

    def section(title):
        rest = lines[lines.index(f"{title}:") + 1 :]
        end = next((index for index, line in enumerate(rest) if line.endswith(":")), len(rest))
        return [line.split(maxsplit=1) for line in rest[:end]]

    assert section("gaps") == [["axis:robx", "points 3 to 6 lost: it was trimmed"]]
    assert section("missing files") == [["cam:image", "/data/late.h5"]]
    files = section("external files")
    assert files[0] == ["cam:image", "/data/img_0000.h5"]
    assert files[-1] == ["cam:image", "and 20 more, the last: /data/img_0029.h5"]
    assert len(files) == 11
    (line,) = [line for line in lines if line.startswith("  cam:image") and " 90 " in line]
    assert line.split(maxsplit=3)[1:] == ["100", "90", "it stopped early"]


def test_names_that_are_no_text_and_line_breaks_are_printed_as_one_line(tmp_path):
    path = tmp_path / "history.sqlite"
    verdict = judge([], problems=["first\nsecond", "/data/\udcff.h5 is missing"])
    recorded(path, replace(over(1), name="1_as\ncan", verdict=verdict))
    assert len(output_of(path).splitlines()) == 2
    output = output_of(path, "scan:test_session:1")
    assert "  - first second\n" in output
    assert "\\udcff.h5 is missing" in output


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
