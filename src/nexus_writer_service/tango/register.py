"""Registers the device that writes a session, without the mistakes that one makes by hand.

The class, the property that names the session, and one device per session: that is what BLISS
relies on. All names are free.
"""

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

import tango

from nexus_writer_service.errors import SettingsError, SourceError
from nexus_writer_service.model.states import EVERY_SESSION
from nexus_writer_service.tango.discovery import (
    ON_REQUEST_CLASS,
    WRITER_CLASS,
    WriterDevice,
    asking_database,
    registered_device,
    session_writers,
    tango_database,
)

_log = logging.getLogger(__name__)

SERVER = "nexuswriter"
FAMILY = "bliss_nxwriter"
_FAMILIES = {WRITER_CLASS: FAMILY, ON_REQUEST_CLASS: "blisswriter"}
_ALL_SESSIONS = "default"
"""Member and instance of a device that serves no session in particular."""
_DOMAIN = "id00"
_DOMAIN_VARIABLES = ("BEAMLINE", "BEAMLINENAME")

_NAME = re.compile(r"[A-Za-z0-9_.+@-]+", re.ASCII)
"""What every Tango client and database takes as part of a name. Tango itself refuses some other
characters and gives some a meaning (``/ * # : ->``)."""
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Registration:
    """How a session's writer is to be registered; an empty text stands for the default."""

    session: str
    """Empty for a device on request that serves all sessions."""
    server: str = ""
    instance: str = ""
    """Default: the session's name. All devices of an instance run in one process."""
    domain: str = ""
    """Default: ``default_domain``."""
    family: str = ""
    member: str = ""
    """Default: the session's name."""
    beacon_host: str = ""
    """Host and port of the session's Beacon, when the Tango database is shared by several."""
    device_class: str = WRITER_CLASS
    redis_url: str = ""
    """Of the database of scans; default: as the server's environment says."""

    @property
    def server_name(self) -> str:
        """``server/instance``."""
        return "/".join(self._parts[:2])

    @property
    def device_name(self) -> str:
        """``domain/family/member``."""
        return "/".join(self._parts[2:])

    @property
    def _parts(self) -> tuple[str, ...]:
        return (
            self.server or SERVER,
            self.instance or self.session or _ALL_SESSIONS,
            self.domain or default_domain(os.environ),
            self.family or _FAMILIES.get(self.device_class, FAMILY),
            self.member or self.session or _ALL_SESSIONS,
        )

    def check(self) -> None:
        """Check the names.

        Raises:
            SettingsError: one cannot be used.
        """
        if self.device_class not in _FAMILIES:
            raise SettingsError(
                f"{self.device_class!r} is no class of this server: {', '.join(_FAMILIES)}"
            )
        if not self.session.strip() and self.device_class == WRITER_CLASS:
            raise SettingsError("name the BLISS session that is to get a writer")
        kinds = ("server", "instance", "domain", "family", "member")
        for kind, part in zip(kinds, self._parts, strict=True):
            if not _NAME.fullmatch(part):
                raise SettingsError(
                    f"{part!r} cannot be the {kind} of a Tango device: use letters, digits and "
                    f"_ . + @ - (give another one with --{kind})"
                )
        for name in (self.server_name, self.device_name):
            if len(name) > _LONGEST_NAME:
                raise SettingsError(f"{name} is longer than the {_LONGEST_NAME} of a Tango name")


@dataclass(frozen=True, slots=True)
class Registered:
    """What came of a registration."""

    device: str
    """The device that writes the session."""
    server: str
    """``server/instance`` that it runs in."""
    created: bool
    """Whether it was registered now; else it was there before."""

    @property
    def text(self) -> str:
        """For people."""
        how = "is now" if self.created else "was already"
        return f"{self.device} {how} registered in server {self.server}"


def default_domain(environ: Mapping[str, str]) -> str:
    """The domain of devices where none is given: the beamline's name in lower case, or id00."""
    named = (environ.get(variable, "").strip() for variable in _DOMAIN_VARIABLES)
    return (next(filter(None, named), "") or _DOMAIN).lower()


def register_session_writer(
    wanted: Registration, *, ignore_existing: bool = False, db: tango.Database | None = None
) -> Registered:
    """Register the writer of a session in the Tango database, unless it has one.

    Args:
        wanted: the device.
        ignore_existing: register it also when another device writes the session: for a move from
            one to the other, since BLISS scans with one only.
        db: the database; None: that at TANGO_HOST.

    Raises:
        SettingsError: a name cannot be used; or a device of that name exists and serves something
            else.
        SourceUnavailableError: the database cannot be reached.
        SourceError: the database refuses, or does not keep what it was told.
    """
    wanted.check()
    database = db or tango_database()
    there = registered_device(wanted.device_name, database)
    if there is not None:
        _check_same(there, wanted)
    if not ignore_existing:
        existing = session_writers(
            wanted.session, wanted.beacon_host or None, database, wanted.device_class
        )
        if existing:
            return _already(existing, wanted)
    return _register(wanted, database)


def _check_same(there: WriterDevice, wanted: Registration) -> None:
    """A device of the wanted name may be there, if it is for the same purpose."""
    pairs = [
        ("class", there.device_class, wanted.device_class),
        ("session", there.session, wanted.session),
    ]
    if wanted.beacon_host:
        pairs.append(("beacon_host", there.beacon_host, wanted.beacon_host))
    for what, found, asked in pairs:
        same = found.lower() == asked.lower() if what == "class" else found == asked
        # A registration that was not finished has no properties yet.
        unfinished = what != "class" and not there.session
        if not same and not unfinished:
            raise SettingsError(
                f"device {there.name} exists already, in server {there.server}, and its {what} is "
                f"{found!r}, not {asked!r}: choose another name (--member), or remove or change "
                "that device first"
            )


def _already(existing: list[WriterDevice], wanted: Registration) -> Registered:
    """Say that the session has a writer, loudly when it is not as wanted."""
    for device in existing:
        differs = [
            f"{what} {asked}"
            for what, found, asked in (
                ("device", device.name, wanted.device_name),
                ("server", device.server, wanted.server_name),
            )
            if found.lower() != asked.lower()
        ]
        where = f"session {wanted.session} has a writer: {device.name} in server {device.server}"
        if differs:
            _log.warning(
                "%s; not registered again as %s. To replace it, remove it from the Tango database "
                "first",
                where,
                " in ".join(differs),
            )
        else:
            _log.info("%s", where)
    if len(existing) > 1:
        _log.warning("session %s has more than one writer: remove all but one", wanted.session)
    return Registered(existing[0].name, existing[0].server, created=False)


def _register(wanted: Registration, database: tango.Database) -> Registered:
    given = {
        "session": wanted.session,
        "beacon_host": wanted.beacon_host,
        "redis_url": wanted.redis_url,
    }
    properties = {name: [value] for name, value in given.items() if value}
    with asking_database():
        # In this order, since Beacon's database keeps no properties of devices it does not know.
        _add_device(database, wanted.device_name, wanted.server_name, wanted.device_class)
        if properties:
            database.put_device_property(wanted.device_name, properties)
        _make_beacon_save(database, wanted)
    kept = registered_device(wanted.device_name, database)
    if kept is None or kept.session != wanted.session:
        raise SourceError(
            f"the Tango database does not keep device {wanted.device_name} with its session: look "
            "into its log, or register the device by hand"
        )
    if kept.server.lower() != wanted.server_name.lower():
        raise SourceError(
            f"device {kept.name} stays in server {kept.server}: the Tango database does not move "
            f"devices, so remove it first, then register it in {wanted.server_name}"
        )
    served = wanted.session or EVERY_SESSION
    _log.info("device %s of server %s writes session %s", kept.name, kept.server, served)
    return Registered(kept.name, kept.server, created=True)


def _make_beacon_save(database: tango.Database, wanted: Registration) -> None:
    """Make Beacon's database save a new device such that it still has its session after a restart.

    nosqltangodb (up to 1.0.8 at least) puts the properties of a new device beside the devices of
    its YAML file, not into it, and does not find them there when it starts. Adding and removing any
    device of the server saves the whole file as it should be.
    """
    if database.get_info().startswith("Beacon"):
        scratch = f"{wanted.device_name}.being_registered"
        _add_device(database, scratch, wanted.server_name, "BeingRegistered")
        database.delete_device(scratch)


def _add_device(database: tango.Database, name: str, server: str, device_class: str) -> None:
    info = tango.DbDevInfo()
    info.name = name
    info.server = server
    info._class = device_class  # noqa: SLF001 - its name in PyTango, since "class" is a keyword
    database.add_device(info)
