from nexus_writer_service.model.states import (
    SCAN_TRANSITIONS,
    SESSION_TRANSITIONS,
    ScanState,
    SessionState,
)


def test_every_state_has_its_transitions():
    assert set(SESSION_TRANSITIONS) == set(SessionState)
    assert set(SCAN_TRANSITIONS) == set(ScanState)


def test_the_final_state_of_a_scan_is_off_or_fault():
    assert {state for state in ScanState if state.final} == {ScanState.OFF, ScanState.FAULT}
    assert all(SCAN_TRANSITIONS[state] == frozenset() for state in ScanState if state.final)


def test_a_session_can_be_started_again_from_every_state():
    assert all(
        SessionState.INIT in allowed
        for state, allowed in SESSION_TRANSITIONS.items()
        if state is not SessionState.INIT
    )
