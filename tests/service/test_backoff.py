"""Attempts become rarer, up to a limit, and frequent again after a success."""

from nexus_writer_service.service.backoff import Backoff


def test_each_wait_is_twice_as_long_up_to_the_limit():
    backoff = Backoff(0.25, 10, chance=lambda: 0.0)
    assert [backoff.next() for _ in range(8)] == [0.25, 0.5, 1, 2, 4, 8, 10, 10]


def test_a_success_makes_waits_short_again():
    backoff = Backoff(0.25, 10, chance=lambda: 0.0)
    backoff.next()
    backoff.next()
    backoff.reset()
    assert backoff.next() == 0.25


def test_chance_shortens_a_wait_by_a_fifth_at_most():
    assert Backoff(1, chance=lambda: 1.0).next() == 0.8
    assert 0.8 <= Backoff(1).next() <= 1
