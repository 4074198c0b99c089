import pytest
import tango
from tests.support_tango import add_device

from nexus_writer_service.errors import SettingsError, SourceError, SourceUnavailableError
from nexus_writer_service.tango.discovery import (
    asking_database,
    find_session_writer,
    get_uri,
    registered_device,
    session_writers,
)

HERE, ELSEWHERE = "localhost:25000", "other:25000"


def writer(database: tango.Database, member: str, session: str, **properties: str) -> str:
    name = f"id00/bliss_nxwriter/{member}"
    add_device(database, name, properties={"session": session, **properties})
    return name


def test_a_writer_is_found_by_its_class_and_the_session_that_it_names(tango_database):
    writer(tango_database, "other", "other_session")
    add_device(
        tango_database,
        "id00/camera/test_session",
        device_class="Camera",
        properties={"session": "test_session"},
    )
    assert find_session_writer("test_session") is None
    name = writer(tango_database, "any_name", "test_session")
    assert find_session_writer("test_session") == name
    assert find_session_writer("test_session", db=tango_database) == name


def test_a_session_is_not_found_by_a_part_of_its_name_or_in_capitals(tango_database):
    writer(tango_database, "test_session", "test_session")
    for session in ("test", "test_session2", "TEST_SESSION", "%", "*", ""):
        assert find_session_writer(session) is None


def test_classes_that_only_begin_like_ours_do_not_count(tango_database):
    add_device(
        tango_database,
        "id00/x/y",
        device_class="NexusWriterOld",
        properties={"session": "test_session"},
    )
    assert find_session_writer("test_session") is None
    assert find_session_writer("test_session", writer_class="NexusWriterOld") == "id00/x/y"
    assert find_session_writer("test_session", writer_class="NexusWriter*") is None


def test_writers_of_other_beacons_do_not_count_and_those_of_none_do(tango_database):
    writer(tango_database, "elsewhere", "test_session", beacon_host=ELSEWHERE)
    assert find_session_writer("test_session", beacon_host=HERE) is None
    assert find_session_writer("test_session") is not None
    here = writer(tango_database, "here", "test_session")
    assert find_session_writer("test_session", beacon_host=HERE) == here


def test_two_writers_of_a_session_are_a_value_error_that_names_them(tango_database):
    names = [writer(tango_database, member, "test_session") for member in ("a", "b")]
    with pytest.raises(SettingsError, match=", ".join(names)) as error:
        find_session_writer("test_session")
    assert isinstance(error.value, ValueError)
    assert [one.name for one in session_writers("test_session")] == names


def test_what_is_registered_is_told_and_nothing_for_an_unknown_device(tango_database):
    name = writer(tango_database, "here", "test_session", beacon_host=HERE)
    found = registered_device(name.upper(), tango_database)
    assert found is not None
    assert (found.server, found.device_class) == ("nexuswriter/nexuswriters", "NexusWriter")
    assert (found.session, found.beacon_host) == ("test_session", HERE)
    assert registered_device("id00/no/such", tango_database) is None


def test_the_uri_of_a_device_has_its_database(tango_database, tango_server):
    name = writer(tango_database, "here", "test_session")
    assert get_uri(tango.DeviceProxy(name)) == f"tango://{tango_server.host}/{name}"


def test_a_database_that_is_away_is_said_with_its_address(monkeypatch):
    monkeypatch.setenv("TANGO_HOST", "127.0.0.1:1")
    with pytest.raises(SourceUnavailableError, match=r"127\.0\.0\.1:1 cannot be reached"):
        find_session_writer("test_session")


@pytest.mark.parametrize("host", ["here", "here:there"])
def test_a_tango_host_that_is_none_is_said(monkeypatch, host):
    monkeypatch.setenv("TANGO_HOST", host)
    with pytest.raises(SettingsError, match=f"TANGO_HOST is '{host}'"):
        find_session_writer("test_session")


def test_what_a_database_refuses_is_told_in_its_words(tango_database):
    with pytest.raises(SourceError, match=r"refuses: .*NoSuchCommand"), asking_database():
        tango_database.command_inout("NoSuchCommand")
