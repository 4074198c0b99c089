"""A writer that dies is started again, at once if it had worked; one that ends is not."""

import logging
import os
import signal
import sys
import threading
from typing import Any

import pytest
from tests.support_waiting import wait_for

from nexus_writer_service.service.supervisor import (
    GOOD_WHILE,
    LONGEST_PAUSE,
    Program,
    Supervisor,
    signals_to,
)


@pytest.fixture(autouse=True)
def no_signal_is_ignored():
    """As when started by hand: in the background a shell lets SIGINT and SIGHUP be ignored."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class World:
    """A clock that only runs of the command move, and what was done between them."""

    def __init__(self, *runs: float) -> None:
        """``runs``: seconds that each run of the command takes by this clock."""
        self.runs = list(runs)
        self.time = 0.0
        self.running = False
        self.pauses: list[float] = []
        self.recovered = 0
        self.supervisor: Any = None

    def clock(self):
        """Asked when a run begins and when it has ended."""
        if self.running and self.runs:
            self.time += self.runs.pop(0)
        self.running = not self.running
        return self.time

    def pause(self, seconds):
        self.pauses.append(seconds)
        if not self.runs:
            self.supervisor.stop(signal.SIGTERM)

    def recover(self):
        self.recovered += 1

    def run(self, *command):
        self.supervisor = Supervisor(Program(command), self.recover, clock=self.clock)
        return self.supervisor.run(self.pause)


def python(code, *arguments):
    return sys.executable, "-c", code, *map(str, arguments)


def test_a_command_that_ends_by_itself_is_not_started_again(tmp_path):
    world = World()
    code = "import sys; open(sys.argv[1], 'a').write('x')"
    assert world.run(*python(code, tmp_path / "starts")) == 0
    assert (tmp_path / "starts").read_text() == "x"
    assert (world.pauses, world.recovered) == ([], 0)


def test_a_command_that_fails_at_once_is_started_again_with_growing_pauses():
    world = World(*[0.0] * 9)
    assert world.run("false") == 0  # told to stop in a pause
    assert world.pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert world.recovered == 9


def test_after_a_good_while_it_is_started_at_once_and_pauses_begin_anew():
    world = World(0, 0, GOOD_WHILE - 1, GOOD_WHILE, GOOD_WHILE, 0, 0)
    world.run("false")
    assert world.pauses == [1, 2, 4, 1, 2]
    assert world.recovered == 5, "who had worked recovers the files itself"


def test_files_of_one_that_died_early_are_recovered_before_it_starts_again(tmp_path):
    log = tmp_path / "log"

    def recover():
        log.write_text(log.read_text() + "r")

    code = """
import os, signal, sys
with open(sys.argv[1], "a+") as log:
    log.write("s")
    log.seek(0)
    count = log.read().count("s")
os.kill(os.getpid(), signal.SIGKILL) if count < 3 else None
"""
    log.touch()
    assert Supervisor(Program(python(code, log)), recover).run(lambda _: None) == 0
    assert log.read_text() == "srsrs"


def test_a_recovery_that_fails_does_not_end_the_supervisor(caplog):
    calls = []

    def recover():
        calls.append(1)
        raise RuntimeError("odd")

    supervisor = Supervisor(Program(("false",)), recover)
    supervisor.run(lambda _: supervisor.stop(signal.SIGTERM) if len(calls) == 2 else None)
    assert len(calls) == 2
    assert "recovery failed" in caplog.text


def test_a_program_that_is_not_there_is_tried_again(caplog):
    world = World(0, 0)
    world.run("/nonexistent/program")
    assert world.pauses == [1, 2]
    assert "cannot start /nonexistent/program" in caplog.text


def test_no_shell_reads_the_command(tmp_path):
    code = "import sys; open(sys.argv[1], 'w').write(sys.argv[2])"
    World().run(*python(code, tmp_path / "said", "a b; $HOME *"))
    assert (tmp_path / "said").read_text() == "a b; $HOME *"


_STOPPABLE = """
import signal, sys
def end(number, frame):
    open(sys.argv[1], "a").write(f"{signal.Signals(number).name} ")
    sys.exit(int(sys.argv[2]))
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, end)
open(sys.argv[1], "a").write("started ")
signal.pause()
"""


@pytest.mark.parametrize(
    ("sent", "received"),
    [("SIGTERM", "SIGTERM"), ("SIGINT", "SIGINT"), ("SIGHUP", "SIGTERM")],
)
@pytest.mark.parametrize("status", [0, 3])
def test_signals_are_passed_on_and_no_start_follows(tmp_path, sent, received, status):
    said = tmp_path / "said"
    said.touch()

    def send():
        wait_for(lambda: said.read_text() == "started ", what="child running")
        os.kill(os.getpid(), signal.Signals[sent])

    recovered = []
    supervisor = Supervisor(Program(python(_STOPPABLE, said, status)), lambda: recovered.append(1))
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=send)
    thread.start()
    with signals_to(supervisor.stop) as pause:
        assert supervisor.run(pause) == status
    thread.join()
    assert said.read_text() == f"started {received} "
    assert len(recovered) == bool(status)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_ends_a_pause():
    supervisor = Supervisor(Program(("false",)), lambda: None)

    def send():
        wait_for(lambda: waiting)
        os.kill(os.getpid(), signal.SIGTERM)

    waiting = []
    thread = threading.Thread(target=send)
    thread.start()
    with signals_to(supervisor.stop) as pause:

        def long_pause(_):
            waiting.append(1)
            pause(1000)

        assert supervisor.run(long_pause) == 0
    thread.join()


def test_a_signal_before_the_first_start_keeps_the_command_from_starting(tmp_path):
    supervisor = Supervisor(Program(("touch", str(tmp_path / "started"))), lambda: None)
    supervisor.stop(signal.SIGTERM)
    assert supervisor.run(lambda _: None) == 0
    assert not (tmp_path / "started").exists()


def test_the_status_of_a_killed_command_is_as_a_shell_has_it(caplog):
    supervisor = Supervisor(
        Program(("sh", "-c", "kill -KILL $$")), lambda: supervisor.stop(signal.SIGTERM)
    )
    with caplog.at_level(logging.INFO):
        assert supervisor.run(lambda _: None) == 128 + signal.SIGKILL
    assert "ended by SIGKILL" in caplog.text


def test_pauses_never_exceed_their_limit():
    world = World(*[0.0] * 20)
    world.run("false")
    assert max(world.pauses) == LONGEST_PAUSE
