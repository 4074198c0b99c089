import logging
from dataclasses import replace

import pytest
import tango
from tests.support_tango import add_device, properties_of, server_of

from nexus_writer_service.errors import SettingsError, SourceUnavailableError
from nexus_writer_service.tango.discovery import find_session_writer, session_writers
from nexus_writer_service.tango.register import (
    Registration,
    default_domain,
    register_session_writer,
)

SESSION = Registration("test_session")
NAME = "id00/bliss_nxwriter/test_session"


def test_a_session_gets_a_device_of_the_right_class_and_property(tango_database):
    done = register_session_writer(SESSION)
    assert (done.device, done.server) == (NAME, "nexuswriter/test_session")
    assert done.created
    assert properties_of(tango_database, NAME) == {"session": ["test_session"]}
    assert server_of(tango_database, NAME) == "nexuswriter/test_session"
    assert find_session_writer("test_session") == NAME


def test_all_names_can_be_chosen(tango_database):
    wanted = Registration(
        "test_session",
        server="NexusWriter",
        instance="nexuswriters",
        domain="ID99",
        family="writers",
        member="one",
        beacon_host="localhost:25000",
    )
    done = register_session_writer(wanted)
    assert (done.device, done.server) == ("ID99/writers/one", "NexusWriter/nexuswriters")
    assert properties_of(tango_database, done.device) == {
        "session": ["test_session"],
        "beacon_host": ["localhost:25000"],
    }


def test_an_empty_name_stands_for_its_default_and_for_nothing_else(tango_database):
    empty = Registration("s", server="", instance="", domain="", family="", member="")
    assert empty.server_name == "nexuswriter/s"
    assert empty.device_name == "id00/bliss_nxwriter/s"
    assert replace(empty, server="mine").device_name == "id00/bliss_nxwriter/s"
    assert replace(empty, family="mine").server_name == "nexuswriter/s"
    assert register_session_writer(empty).server == "nexuswriter/s"


@pytest.mark.parametrize(
    ("environ", "domain"),
    [
        ({}, "id00"),
        ({"BEAMLINENAME": "ID15A"}, "id15a"),
        ({"BEAMLINENAME": "ID15A", "BEAMLINE": "Id21"}, "id21"),
        ({"BEAMLINENAME": "ID15A", "BEAMLINE": " "}, "id15a"),
    ],
)
def test_the_domain_is_the_beamline_in_lower_case(environ, domain):
    assert default_domain(environ) == domain


def test_several_sessions_share_a_server(tango_database):
    for session in ("first", "second"):
        register_session_writer(Registration(session, instance="nexuswriters"))
    devices = tango_database.get_device_name("nexuswriter/nexuswriters", "NexusWriter")
    assert sorted(devices) == ["id00/bliss_nxwriter/first", "id00/bliss_nxwriter/second"]


class LikeBeacon(tango.Database):  # type: ignore[misc]  # PyTango brings no types
    """Says that it is Beacon's, whose real one needs a BLISS environment."""

    def get_info(self) -> str:
        return "Beacon Beacon files"


def test_what_makes_beacon_save_a_device_leaves_nothing_behind(tango_database, tango_server):
    host, _, port = tango_server.host.partition(":")
    done = register_session_writer(SESSION, db=LikeBeacon(host, int(port)))
    assert properties_of(tango_database, done.device) == {"session": ["test_session"]}
    assert list(tango_database.get_device_name("*", "NexusWriter")) == [done.device]
    assert list(tango_database.get_device_name("*", "BeingRegistered")) == []


# --------------------------------------------------------------------------- what exists


def test_registering_again_changes_nothing_and_is_no_warning(tango_database, caplog):
    caplog.set_level(logging.INFO)
    register_session_writer(SESSION)
    caplog.clear()
    done = register_session_writer(SESSION)
    assert (done.device, done.created) == (NAME, False)
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_a_session_with_another_writer_keeps_it_with_a_warning(tango_database, caplog):
    register_session_writer(SESSION)
    done = register_session_writer(replace(SESSION, member="another"))
    assert (done.device, done.created) == (NAME, False)
    assert [one.name for one in session_writers("test_session")] == [NAME]
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert NAME in record.message
    assert "another" in record.message


def test_a_device_of_the_wanted_name_in_another_server_stays_there_with_a_warning(
    tango_database, caplog
):
    register_session_writer(SESSION)
    done = register_session_writer(replace(SESSION, instance="elsewhere"))
    assert done.server == "nexuswriter/test_session"
    assert server_of(tango_database, NAME) == "nexuswriter/test_session"
    assert "nexuswriter/elsewhere" in caplog.text


def test_two_writers_that_are_there_already_are_both_named(tango_database, caplog):
    register_session_writer(SESSION)
    register_session_writer(replace(SESSION, member="another"), ignore_existing=True)
    register_session_writer(SESSION)
    assert "more than one writer" in caplog.text
    assert "id00/bliss_nxwriter/another" in caplog.text


def test_an_existing_writer_can_be_ignored(tango_database):
    register_session_writer(SESSION)
    done = register_session_writer(replace(SESSION, member="another"), ignore_existing=True)
    assert done.created
    assert len(session_writers("test_session")) == 2


def test_an_existing_writer_is_moved_when_it_is_ignored(tango_database):
    register_session_writer(SESSION)
    register_session_writer(replace(SESSION, instance="elsewhere"), ignore_existing=True)
    assert server_of(tango_database, NAME) == "nexuswriter/elsewhere"
    assert properties_of(tango_database, NAME) == {"session": ["test_session"]}


@pytest.mark.parametrize("ignore_existing", [False, True])
def test_a_device_of_another_session_is_not_taken_over(tango_database, ignore_existing):
    add_device(tango_database, NAME, properties={"session": "other"})
    with pytest.raises(SettingsError, match=f"{NAME} exists already.* session is 'other'"):
        register_session_writer(SESSION, ignore_existing=ignore_existing)
    assert properties_of(tango_database, NAME) == {"session": ["other"]}


@pytest.mark.parametrize("stored", [{"beacon_host": "other:25000"}, {}])
def test_a_device_of_another_beacon_is_not_taken_over(tango_database, stored):
    add_device(tango_database, NAME, properties={"session": "test_session", **stored})
    with pytest.raises(SettingsError, match=r"its beacon_host is '.*', not 'here:25000'"):
        register_session_writer(replace(SESSION, beacon_host="here:25000"))


def test_a_device_of_another_class_is_not_taken_over(tango_database):
    add_device(tango_database, NAME, device_class="Camera")
    with pytest.raises(SettingsError, match="its class is 'Camera'"):
        register_session_writer(SESSION)


def test_sessions_of_one_name_on_two_beacons_have_a_writer_each(tango_database):
    here, there = (
        replace(SESSION, member=name, beacon_host=f"{name}:25000") for name in ("here", "there")
    )
    assert register_session_writer(here).created
    assert register_session_writer(there).created
    found = find_session_writer("test_session", beacon_host="there:25000")
    assert found == "id00/bliss_nxwriter/there"


def test_a_registration_that_was_not_finished_is_finished(tango_database):
    add_device(tango_database, NAME, server="nexuswriter/test_session")
    assert find_session_writer("test_session") is None
    assert register_session_writer(SESSION).created
    assert find_session_writer("test_session") == NAME


# --------------------------------------------------------------------------- bad names


@pytest.mark.parametrize("bad", ["a b", "a/b", "a*", "a#b", "a:b", "a->b", "a%b", "à", "a?", "a\n"])
@pytest.mark.parametrize("part", ["server", "instance", "domain", "family", "member"])
def test_names_that_tango_does_not_take_are_refused_with_the_option(part, bad):
    with pytest.raises(SettingsError, match=f"cannot be the {part} of .*--{part}"):
        register_session_writer(replace(SESSION, **{part: bad}))


def test_names_that_are_too_long_are_refused():
    with pytest.raises(SettingsError, match="longer than"):
        register_session_writer(replace(SESSION, member="x" * 250))


@pytest.mark.parametrize("session", ["", " "])
def test_a_session_has_a_name(session):
    with pytest.raises(SettingsError, match="name the BLISS session"):
        register_session_writer(Registration(session))


def test_a_session_whose_name_is_no_member_can_have_another_member(tango_database):
    with pytest.raises(SettingsError, match="--instance"):
        register_session_writer(Registration("my session"))
    wanted = Registration("my session", instance="mine", member="mine")
    assert find_session_writer("my session") is None
    register_session_writer(wanted)
    assert find_session_writer("my session") == "id00/bliss_nxwriter/mine"


def test_a_database_that_goes_away_is_said(tango_server, tango_database):
    tango_server.stop()
    try:
        with pytest.raises(SourceUnavailableError, match="cannot be reached"):
            register_session_writer(SESSION, db=tango_database)
    finally:
        tango_server.start()


def test_a_session_can_have_a_writer_of_each_class(tango_database):
    classic = register_session_writer(SESSION)
    mapped = register_session_writer(replace(SESSION, device_class="BlissWriter"))
    assert (classic.device, mapped.device) == (NAME, "id00/blisswriter/test_session")
    assert find_session_writer("test_session") == NAME
    assert find_session_writer("test_session", writer_class="BlissWriter") == mapped.device
    again = register_session_writer(replace(SESSION, device_class="BlissWriter", member="two"))
    assert (again.device, again.created) == (mapped.device, False)


def test_a_writer_on_request_needs_no_session(tango_database):
    wanted = Registration("", device_class="BlissWriter", redis_url="redis://localhost:25002")
    done = register_session_writer(wanted)
    assert (done.device, done.server) == ("id00/blisswriter/default", "nexuswriter/default")
    assert properties_of(tango_database, done.device) == {"redis_url": ["redis://localhost:25002"]}
    with pytest.raises(SettingsError, match="session"):
        register_session_writer(Registration(""))


def test_a_class_that_the_server_has_not_is_refused():
    with pytest.raises(SettingsError, match="'LimaWriter' is no class of this server"):
        Registration("test_session", device_class="LimaWriter").check()
