import pytest
from tests.metadata.bliss_stand_ins import Saving

from nexus_writer_service.metadata.instrument import instrument


@pytest.fixture(autouse=True)
def no_beamline(monkeypatch):
    for variable in ("BEAMLINE", "BEAMLINENAME"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"synchrotron": "ESRF"}, "ESRF-id00"),
        ({"laboratory": "HZB", "institute": "other"}, "HZB-id00"),
        ({"institute": "ESRF, ID00"}, "ESRF, ID00"),
        ({"synchrotron": "ESRF", "instrument": "ID00 nano"}, "ID00 nano"),
        ({}, "id00"),
    ],
)
def test_the_instrument_is_as_configured_else_at_its_institute(config, name):
    assert instrument(Saving(), config, {}) == {"name": name, "name@short_name": "id00"}


@pytest.mark.parametrize(
    ("saving", "config", "session", "environment", "beamline"),
    [
        ("ID01", {"beamline": "id02"}, {"beamline": "id03"}, {"BEAMLINE": "id04"}, "ID01"),
        (None, {"beamline": "id02"}, {"beamline": "ID03"}, {"BEAMLINE": "id04"}, "id03"),
        (None, {"beamline": "ID02"}, {}, {"BEAMLINE": "id04"}, "id02"),
        (None, {}, {}, {"BEAMLINE": "id04", "BEAMLINENAME": "id05"}, "id04"),
        (None, {}, {}, {"BEAMLINENAME": "ID05"}, "id05"),
    ],
)
def test_the_beamline_is_that_of_whatever_is_closest_to_the_scan(
    monkeypatch, saving, config, session, environment, beamline
):
    for variable, text in environment.items():
        monkeypatch.setenv(variable, text)
    found = instrument(type("Saving", (), {"beamline": saving}), config, session)
    assert found["name@short_name"] == beamline


def test_what_nobody_knows_is_not_told():
    assert instrument(object(), {}, {}) == {}
