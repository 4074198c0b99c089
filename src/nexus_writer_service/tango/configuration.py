"""The properties of the device, and what they mean for saving scans."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import tango
from tango.server import Device, device_property

from nexus_writer_service.errors import SettingsError
from nexus_writer_service.hdf5.options import READER_PATIENCE, FileOptions
from nexus_writer_service.layout.choice import AUTO, LAYOUTS
from nexus_writer_service.layout.esrf import EsrfOptions
from nexus_writer_service.layout.esrf.storage import COMPRESSIONS, DEFAULT_COMPRESSION
from nexus_writer_service.service.clock import SystemClock
from nexus_writer_service.service.disk_space import MEGABYTE
from nexus_writer_service.service.history_place import default_history
from nexus_writer_service.service.session_options import SessionOptions
from nexus_writer_service.service.templates import load_templates
from nexus_writer_service.sources.bliss.leased import LeasedConnection
from nexus_writer_service.tango.health import FaultPolicy

_NUMBERS = ("required_disk_space", "recommended_disk_space", "reader_patience")
_DURABILITIES = ("process", "power")
_BLISS2 = "bliss2"
_SOURCES = ("auto", "bliss1", _BLISS2)


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the properties of one device mean."""

    options: SessionOptions
    connect: LeasedConnection
    fault_policy: FaultPolicy
    required_disk_space: int
    """Bytes."""
    recommended_disk_space: int
    """Bytes."""


class ConfiguredDevice(Device):
    """A device with the properties of the NexusWriter.

    Those up to ``recommended_disk_space`` are of the reference lineage, the others ours.
    """

    on_request: ClassVar[bool] = False
    """Whether scans are saved on request, and of all sessions if none is named."""

    session = device_property(dtype=str, default_value="", doc="BLISS session name (mandatory)")
    beacon_host = device_property(
        dtype=str, default_value="", doc="Beacon of the session, host:port; else BEACON_HOST"
    )
    keepshape = device_property(
        dtype=bool, default_value=False, doc="Save grid scans with their n-D shape"
    )
    multivalue_positioners = device_property(
        dtype=bool,
        default_value=False,
        doc="All channels of a positioner group in one NXpositioner",
    )
    enable_external_nonhdf5 = device_property(
        dtype=bool, default_value=False, doc="Link EDF frames as HDF5 external storage"
    )
    disable_external_hdf5 = device_property(
        dtype=bool, default_value=False, doc="No virtual datasets over HDF5 images"
    )
    copy_non_external = device_property(
        dtype=bool, default_value=False, doc="Copy the pixels of images that are not linked"
    )
    noconfig = device_property(
        dtype=bool,
        default_value=False,
        doc="Ignore the session's device types and master files",
    )
    stackmca = device_property(
        dtype=bool, default_value=False, doc="Stack MCAs in the XRF application"
    )
    required_disk_space = device_property(
        dtype=float, default_value=200.0, doc="MB; below: scans are refused"
    )
    recommended_disk_space = device_property(
        dtype=float, default_value=1024.0, doc="MB; below: a warning"
    )

    compression = device_property(
        dtype=str,
        default_value=DEFAULT_COMPRESSION,
        doc="Compression scheme of scans for which BLISS chose none: " + ", ".join(COMPRESSIONS),
    )
    layout = device_property(
        dtype=str,
        default_value=AUTO,
        doc="Follow the maps that scans bring (h5maps): 'auto': where BLISS asks, 'mapped', "
        "'classic'",
    )
    templates = device_property(
        dtype=(str,),
        default_value=[],
        doc="What the beamline adds to entries: YAML files, or folders of them; absolute paths",
    )
    fault_policy = device_property(
        dtype=str,
        default_value=FaultPolicy.ANY_LOST_CHANNEL.value,
        doc="When BLISS is told FAULT of a scan, and stops it: at 'any lost channel', or for the "
        "'scan only': while the scan as a whole cannot be saved",
    )
    data_roots = device_property(
        dtype=(str,),
        default_value=[],
        doc="Directories below which files and directories are made; none given: files anywhere, "
        "directories where scans of the session are saved",
    )
    data_writers = device_property(
        dtype=(str,),
        default_value=["nexus"],
        doc="Save scans for which BLISS selected one of these writers; 'any': all scans",
    )
    redis_url = device_property(
        dtype=str,
        default_value="",
        doc="Redis database of scans; else REDIS_DATA_URL, else what Beacon says",
    )
    source = device_property(
        dtype=str,
        default_value=_SOURCES[0],
        doc="Generation of BLISS: " + ", ".join(_SOURCES) + "; auto: whichever uses the database",
    )
    history = device_property(
        dtype=str, default_value="", doc="File that keeps every verdict; else that of the user"
    )
    nohistory = device_property(dtype=bool, default_value=False, doc="Keep no verdicts")
    nocatchup = device_property(
        dtype=bool, default_value=False, doc="Save only scans that are created from now on"
    )
    durability = device_property(
        dtype=str,
        default_value="process",
        doc="What commits outlast: the death of the 'process', or a loss of 'power' too",
    )
    reader_patience = device_property(
        dtype=float,
        default_value=READER_PATIENCE,
        doc="Seconds that readers in a file can delay a commit",
    )
    noprotect = device_property(
        dtype=bool, default_value=False, doc="Leave files their write permission while writing"
    )
    nolocks = device_property(
        dtype=bool, default_value=False, doc="For file systems where locks fail or hang"
    )
    noleases = device_property(
        dtype=bool, default_value=False, doc="For file systems where leases misbehave"
    )

    def configuration(self, *, profiling: str) -> Configuration:
        """Read the properties again.

        Args:
            profiling: of scan writers, which is an attribute.

        Raises:
            SettingsError: one of them cannot be used.
        """
        self._read_properties()
        if not self.session and not self.on_request:
            raise SettingsError("the property session is not set: give it the BLISS session's name")
        self._check_numbers()
        roots = self._absolute("data_roots")
        options = SessionOptions(
            session=self.session,
            layout=EsrfOptions(
                keepshape=self.keepshape,
                multivalue_positioners=self.multivalue_positioners,
                configurable=not self.noconfig,
                external_hdf5=not self.disable_external_hdf5,
                external_nonhdf5=self.enable_external_nonhdf5,
                copy_non_external=self.copy_non_external,
                stack_mcas=self.stackmca,
                compression=_one_of("compression", self.compression, COMPRESSIONS),
            ),
            follows=_one_of("layout", self.layout, LAYOUTS),
            templates=load_templates(Path(one) for one in self._absolute("templates")),
            data_writers=tuple(self.data_writers),
            roots=roots,
            profiling=profiling,
            history=self._history_file(),
            catch_up=not self.nocatchup,
            on_request=self.on_request,
            files=FileOptions(
                durability=_one_of("durability", self.durability, _DURABILITIES),
                reader_patience=self.reader_patience,
                protect=not self.noprotect,
                locks=not self.nolocks,
                leases=not self.noleases,
            ),
        )
        policies = [policy.value for policy in FaultPolicy]
        return Configuration(
            options=options,
            connect=self._connection(),
            fault_policy=FaultPolicy(_one_of("fault_policy", self.fault_policy, policies)),
            required_disk_space=int(self.required_disk_space * MEGABYTE),
            recommended_disk_space=int(self.recommended_disk_space * MEGABYTE),
        )

    def _read_properties(self) -> None:
        try:
            self.get_device_properties()
        except Exception as error:
            # PyTango promises no type; whatever it is, somebody has to correct a property.
            culprits = self._unusable_numbers()
            if isinstance(error, tango.DevFailed) and not culprits:
                raise SettingsError(
                    "the properties cannot be read, since the Tango database does not answer "
                    f"({error.args[0].desc.splitlines()[0]}): give the command Init when it does"
                ) from error
            raise SettingsError(f"{culprits or 'a property'} cannot be used: {error}") from error

    def _connection(self) -> LeasedConnection:
        # Only BLISS 2 asks for scans one by one.
        source = _BLISS2 if self.on_request else self.source
        return LeasedConnection(
            self.session,
            self._environment(),
            self.get_name(),
            SystemClock().now(),
            _one_of("source", source, _SOURCES),
            role=type(self).__name__ if self.on_request else "",
        )

    def _check_numbers(self) -> None:
        for name in _NUMBERS:
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise SettingsError(f"the property {name} is {value}: it has to be 0 or more")

    def _unusable_numbers(self) -> str:
        """The properties that are to be numbers and are none: PyTango 9.5 does not say which."""
        found = tango.Database().get_device_property(self.get_name(), list(_NUMBERS))
        names = [name for name in _NUMBERS if not all(_is_number(text) for text in found[name])]
        return f"the property {', '.join(names)}" if names else ""

    def _absolute(self, name: str) -> tuple[str, ...]:
        """The paths in a property."""
        paths: Sequence[str] = getattr(self, name)
        relative = [path for path in paths if not os.path.isabs(path)]
        if relative:
            raise SettingsError(f"the property {name} has relative paths: {relative}")
        return tuple(os.path.normpath(path) for path in paths)

    def _history_file(self) -> Path | None:
        if self.nohistory:
            return None
        if not self.history:
            return default_history(os.environ)
        if not os.path.isabs(self.history):
            raise SettingsError(f"the property history is a relative path: {self.history!r}")
        return Path(self.history)

    def _environment(self) -> Mapping[str, str]:
        """Where the session is, as environment variables would say."""
        environment = dict(os.environ)
        if self.beacon_host:
            given = environment.setdefault("BEACON_HOST", self.beacon_host)
            if given != self.beacon_host:
                raise SettingsError(
                    f"the property beacon_host is {self.beacon_host!r}, but this server was "
                    f"started with BEACON_HOST={given!r}: they have to be the same text"
                )
        if self.redis_url:
            environment["REDIS_DATA_URL"] = self.redis_url
        return environment


def _one_of(name: str, value: str, allowed: Any) -> Any:
    if value not in allowed:
        raise SettingsError(f"the property {name} is {value!r}, which is none of {list(allowed)}")
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
