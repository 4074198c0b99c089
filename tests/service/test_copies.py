"""A copy of a process: what it inherits, and how its parent learns of its end."""

import os
import signal

import pytest

from nexus_writer_service.service.copies import Copy
from nexus_writer_service.service.supervisor import STOPS, Supervisor

# Libraries of the tests keep threads; none of them holds a lock that a copy here needs.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")


@pytest.mark.parametrize("status", [0, 3])
def test_the_exit_status_is_what_is_returned(status):
    assert Copy("one", lambda: status)().wait() == status


def test_an_error_is_printed_and_makes_the_status_1(capfd):
    def fail() -> int:
        raise RuntimeError("odd")

    assert Copy("one", fail)().wait() == 1
    assert "RuntimeError: odd" in capfd.readouterr().err


def test_it_is_another_process_in_a_group_of_its_own(tmp_path):
    def tell() -> int:
        (tmp_path / "said").write_text(f"{os.getpid()} {os.getpgid(0)}")
        return 0

    child = Copy("one", tell)()
    assert child.wait() == 0
    assert (tmp_path / "said").read_text() == f"{child.pid} {child.pid}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_whatever_its_parent_does_with_them(number):
    def wait() -> int:
        signal.pause()
        return 0

    before = {stop: signal.signal(stop, lambda *_: None) for stop in STOPS}
    try:
        child = Copy("one", wait)()
        child.send_signal(number)
        assert child.wait() == -number
    finally:
        for stop, handler in before.items():
            signal.signal(stop, handler)
    child.send_signal(signal.SIGKILL)  # nobody has its pid now, or somebody else


def test_under_a_supervisor_a_copy_that_is_killed_is_followed_by_another(tmp_path):
    lives = tmp_path / "lives"

    def live() -> int:
        with lives.open("a") as file:
            file.write("x")
        if lives.stat().st_size < 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    assert Supervisor(Copy("one", live), lambda: None).run(lambda _: None) == 0
    assert lives.read_text() == "xxx"
