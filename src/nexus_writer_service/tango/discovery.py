"""Which device writes a session, as the Tango database knows it.

BLISS looks its writer up in the same way before each scan: a device of class ``NexusWriter`` whose
property ``session`` is the session's name. The names of device and server decide nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import tango

from nexus_writer_service.errors import SettingsError, SourceError, SourceUnavailableError

WRITER_CLASS = "NexusWriter"
"""The class by which BLISS finds writers."""
ON_REQUEST_CLASS = "BlissWriter"
"""The class by which BLISS 2.3 and later find the writer of ``SCAN_SAVING.writer = "mapping"``."""

_NOT_SET = "API_TangoHostNotSet"
_NO_SUCH_DEVICE = "DB_DeviceNotDefined"
_AWAY = ("API_CantConnectToDatabase", "API_CantConnectToDevice", "API_CommunicationFailed")


@dataclass(frozen=True, slots=True)
class WriterDevice:
    """What the database holds about a device."""

    name: str
    server: str
    """``server/instance``."""
    device_class: str
    session: str
    """Empty when the property is not set."""
    beacon_host: str
    """Empty when the property is not set."""


def tango_database() -> tango.Database:
    """The Tango database at TANGO_HOST.

    Raises:
        SettingsError: TANGO_HOST is not set, or cannot be understood.
        SourceUnavailableError: the database cannot be reached.
    """
    with asking_database():
        return tango.Database()


def find_session_writer(
    session: str,
    beacon_host: str | None = None,
    db: tango.Database | None = None,
    writer_class: str = WRITER_CLASS,
) -> str | None:
    """Name of the device that writes a session; None when there is none.

    Args:
        session: name of the BLISS session.
        beacon_host: devices with another value of the property ``beacon_host`` do not count; those
            without one do. Texts are compared: ``localhost:25000`` is not ``host:25000``.
        db: the database to ask; None: that at TANGO_HOST.
        writer_class: of the device.

    Raises:
        SettingsError: there is more than one, so that BLISS would refuse to scan (a ValueError).
        SourceUnavailableError: the database cannot be reached.
    """
    found = session_writers(session, beacon_host, db, writer_class)
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise SettingsError(
            f"session {session} has more than one writer: {names}. Remove all but one from the "
            "Tango database"
        )
    return found[0].name if found else None


def session_writers(
    session: str,
    beacon_host: str | None = None,
    db: tango.Database | None = None,
    writer_class: str = WRITER_CLASS,
) -> list[WriterDevice]:
    """The devices that write a session, by name; arguments and errors of ``find_session_writer``.

    More than one is a mistake.
    """
    database = db or tango_database()
    with asking_database():
        names = list(database.get_device_name("*", writer_class))
    devices = (registered_device(name, database) for name in sorted(names))
    return [
        device
        for device in devices
        # Databases take a class as a pattern, without regard to case.
        if device is not None
        and device.device_class.lower() == writer_class.lower()
        and device.session == session
        and (not beacon_host or device.beacon_host in ("", beacon_host))
    ]


def registered_device(name: str, db: tango.Database) -> WriterDevice | None:
    """What the database holds about a device; None when it does not know it.

    Raises:
        SourceUnavailableError: the database cannot be reached.
    """
    try:
        with asking_database():
            # Not get_device_info: it does not check what it takes apart, and Beacon's database
            # answers with nothing for a device that it does not know.
            _, texts = db.command_inout("DbGetDeviceInfo", name)
            properties = db.get_device_property(name, ["session", "beacon_host"])
    except _NoSuchDeviceError:
        return None
    if len(texts) < 8:
        return None
    session, beacon_host = (
        next(iter(properties[key]), "").strip() for key in ("session", "beacon_host")
    )
    return WriterDevice(name, texts[3], texts[7], session, beacon_host)


def get_uri(proxy: tango.DeviceProxy) -> str:
    """The full address of a device, ``tango://host:port/domain/family/member``."""
    return f"tango://{proxy.get_db_host()}:{proxy.get_db_port()}/{proxy.dev_name()}"


class _NoSuchDeviceError(SourceError):
    """The database does not know the device."""


@contextmanager
def asking_database() -> Iterator[None]:
    """Turn what a Tango database fails with into errors of this package.

    Raises:
        SettingsError: TANGO_HOST is not set, or cannot be understood.
        SourceUnavailableError: the database cannot be reached.
        SourceError: it refuses.
    """
    try:
        yield
    except tango.DevFailed as error:
        reasons = [one.reason for one in error.args]
        said = "; ".join(one.desc.strip() for one in error.args)
        host = tango.ApiUtil.get_env_var("TANGO_HOST") or ""
        # PyTango 9.5 takes a port that is no number to CORBA, which calls it a bad address.
        if _NOT_SET in reasons or "API_InvalidArgs" in reasons or "BadURI" in said:
            raise SettingsError(
                f"TANGO_HOST is {host!r}: set it to host:port of the Tango database, e.g. "
                f"localhost:10000 ({said})"
            ) from error
        if _NO_SUCH_DEVICE in reasons:
            raise _NoSuchDeviceError(said) from error
        if any(reason in _AWAY for reason in reasons):
            raise SourceUnavailableError(
                f"the Tango database at {host} cannot be reached: check that it runs and that "
                f"TANGO_HOST is right ({said})"
            ) from error
        raise SourceError(f"the Tango database at {host} refuses: {said}") from error
