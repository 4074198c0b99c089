import threading

import pytest
from tests.support_waiting import wait_for

from nexus_writer_service.service.lookout import Lookout


@pytest.fixture
def asked():
    """What was asked, and answers that change."""
    return {"count": 0, "answer": 1}


@pytest.fixture
def lookout(asked, monkeypatch):
    monkeypatch.setattr("nexus_writer_service.service.lookout.PERIOD", 0.01)

    def ask(_path: str) -> int:
        asked["count"] += 1
        return int(asked["answer"])

    lookout = Lookout(ask, "test")
    yield lookout
    lookout.stop()


def test_the_first_answer_is_waited_for(lookout):
    assert lookout.answer("/data", patience=10) == 1


def test_answers_are_kept_up_to_date(lookout, asked):
    assert lookout.answer("/data", patience=10) == 1
    asked["answer"] = 2
    wait_for(lambda: lookout.answer("/data", patience=0) == 2)


def test_what_nobody_wants_to_know_is_asked_no_more(lookout, asked, monkeypatch):
    monkeypatch.setattr("nexus_writer_service.service.lookout._INTEREST", 0.02)
    lookout.answer("/data", patience=10)
    wait_for(lambda: not lookout._questions)
    count = asked["count"]
    assert lookout.answer("/data", patience=10) == 1
    assert asked["count"] > count


def test_a_question_that_is_never_answered_holds_nobody_up():
    stalled = threading.Event()
    lookout = Lookout(lambda _path: stalled.wait(60), "test")
    try:
        assert lookout.answer("/data", patience=0.01) is None
        assert lookout.answer("/data", patience=0) is None
    finally:
        stalled.set()
        lookout.stop()
