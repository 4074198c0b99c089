import threading

from hypothesis import given
from hypothesis import strategies as st
from tests.support_waiting import wait_for

from nexus_writer_service.service.inbox import Inbox


def test_put_waits_while_the_inbox_is_full_and_goes_on_when_there_is_room():
    inbox: Inbox[str] = Inbox(budget=10)
    inbox.put([("a", 10)])
    thread = threading.Thread(target=inbox.put, args=([("b", 5)],), daemon=True)
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    assert inbox.take(0) == ["a"]
    thread.join(10)
    assert not thread.is_alive()
    assert inbox.take(0) == ["b"]


def test_one_item_may_be_larger_than_the_budget():
    inbox: Inbox[str] = Inbox(budget=10)
    inbox.put([("huge", 1000)])
    assert inbox.held_bytes == 1000
    assert inbox.take(0) == ["huge"]
    assert inbox.held_bytes == 0


def test_take_wakes_up_as_soon_as_something_comes_in():
    inbox: Inbox[str] = Inbox(budget=10)
    taken: list[str] = []
    thread = threading.Thread(target=lambda: taken.extend(inbox.take(60)), daemon=True)
    thread.start()
    inbox.put([("a", 1)])
    assert wait_for(lambda: taken) == ["a"]


def test_take_returns_empty_handed_after_its_timeout():
    assert Inbox[str](budget=10).take(0.001) == []


def test_a_closed_inbox_lets_every_put_through():
    inbox: Inbox[int] = Inbox(budget=1)
    inbox.close()
    inbox.put((number, 1) for number in range(5))
    assert inbox.take(0) == [0, 1, 2, 3, 4]


@given(st.lists(st.integers(0, 100)), st.integers(1, 200))
def test_items_come_out_in_order_and_none_is_lost(sizes, most):
    inbox: Inbox[int] = Inbox(budget=1 << 30)
    inbox.put(enumerate(sizes))
    taken: list[int] = []
    while batch := inbox.take(0, most):
        taken += batch
    assert taken == list(range(len(sizes)))
    assert inbox.held_bytes == 0


def test_what_is_pushed_goes_into_a_full_inbox_and_comes_out_in_its_turn():
    inbox: Inbox[str] = Inbox(budget=1)
    inbox.put([("a", 1)])
    inbox.push("b")
    assert inbox.take(0) == ["a", "b"]
    assert inbox.held_bytes == 0


def test_what_was_pushed_can_be_taken_ahead_of_the_rest():
    inbox: Inbox[str] = Inbox(budget=100)
    inbox.put([("a", 1), ("b", 1)])
    inbox.push("x")
    inbox.put([("c", 1)])
    inbox.push("y")
    assert inbox.take_pushed(0) == ["x", "y"]
    assert inbox.take_pushed(0.001) == []
    assert inbox.held_bytes == 3
    assert inbox.take(0) == ["a", "b", "c"]


def test_taking_what_is_pushed_wakes_up_for_nothing_else():
    inbox: Inbox[str] = Inbox(budget=100)
    taken: list[str] = []
    thread = threading.Thread(target=lambda: taken.extend(inbox.take_pushed(60)), daemon=True)
    thread.start()
    inbox.put([("a", 1)])
    thread.join(0.05)
    assert thread.is_alive()
    inbox.push("x")
    assert wait_for(lambda: taken) == ["x"]
