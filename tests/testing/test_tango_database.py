"""The Tango database for tests: there when needed, gone afterwards."""

import socket
from pathlib import Path

import pytest
import tango

from nexus_writer_service.testing.tango_database import TangoDatabase


def registered(database: TangoDatabase) -> list[str]:
    host, port = database.host.split(":")
    return list(tango.Database(host, int(port)).get_device_name("X/1", "X"))


@pytest.fixture
def tango_database() -> TangoDatabase:
    return TangoDatabase()


def test_what_was_registered_survives_a_restart(tango_database: TangoDatabase) -> None:
    with tango_database:
        host, port = tango_database.host.split(":")
        info = tango.DbDevInfo()
        info.name, info._class, info.server = "a/b/c", "X", "X/1"
        tango.Database(host, int(port)).add_device(info)
        tango_database.stop()
        tango_database.start()
        assert registered(tango_database) == ["a/b/c"]


def test_two_databases_do_not_know_each_other(tango_database: TangoDatabase) -> None:
    with tango_database, TangoDatabase() as other:
        assert tango_database.host != other.host
        assert registered(other) == []


def test_it_listens_on_the_loopback_interface_only(tango_database: TangoDatabase) -> None:
    with tango_database:
        _, port = tango_database.host.split(":")
        # The machine itself as well, but by an address that only listeners on all interfaces have.
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.2", int(port)), 5).close()


def test_nothing_is_left_behind(tango_database: TangoDatabase) -> None:
    with tango_database:
        folder = tango_database._folder
        host, port = tango_database.host.split(":")
    assert folder is not None
    assert not Path(folder).exists()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((host, int(port)), 1).close()
