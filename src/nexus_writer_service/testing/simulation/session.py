"""A BLISS session that exists only in Redis, and whose scans are published like real ones."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, Unpack

import redis
from blissdata import DataStore

from nexus_writer_service.testing.redis_server import pinned_url
from nexus_writer_service.testing.simulation import designs, devices
from nexus_writer_service.testing.simulation.camera import Camera
from nexus_writer_service.testing.simulation.channels import (
    NumberChannel,
    SimulatedDevice,
    Target,
)
from nexus_writer_service.testing.simulation.clock import Clock
from nexus_writer_service.testing.simulation.designs import MeshAxis, ScanDesign, Setting
from nexus_writer_service.testing.simulation.faults import Faults
from nexus_writer_service.testing.simulation.options import (
    OpenSequence,
    ScanOptions,
    ScanOptionsKeywords,
)
from nexus_writer_service.testing.simulation.publishers import (
    BlissdataPublisher,
    PipelinePublisher,
    Publisher,
)
from nexus_writer_service.testing.simulation.records import ChannelRecord, ScanRecord
from nexus_writer_service.testing.simulation.run import SimulatedScan
from nexus_writer_service.testing.simulation.saving import PlainSaving, Saving
from nexus_writer_service.testing.simulation.scan_info import ScanInfo, Surroundings

Json = Any
MakeDesign = Callable[[Setting], ScanDesign]

FAST_AXIS = MeshAxis("robx", 0.0, 1.0, 5)
SLOW_AXIS = MeshAxis("roby", 10.0, 12.0, 3)
CAMERA = Camera()


@dataclass
class SimulatedSession:
    """Publishes scans to the database at ``url``, which has been initialised for blissdata.

    Each kind of scan is a method that runs one to its end and returns what it published; keyword
    arguments are those of `ScanOptions`. `open` gives a scan to be published step by step. Scans
    may run in several threads; attributes hold for the scans that start after they are set.
    """

    url: str
    name: str = "test_session"
    _: KW_ONLY
    data_root: Path
    """Files go below this folder."""
    filename: str = "dataset"
    """Name of the dataset file."""
    saving: Saving | None = None
    """Where else to save, as with the ESRF data policy; overrules the two above."""
    data_writer: str = "external"
    """The writer that is asked to save: ``external`` (a process) or ``nexus`` (a Tango device)."""
    style: Literal["2.0", "2.4"] = "2.0"
    """Version of blissdata whose way of publishing is followed."""
    h5maps: bool = False
    """Whether scans bring a map of their file, as they may in style 2.4."""
    second_map: str = ""
    """Name of one more file that is mapped, beside the first and with the same in it."""
    publisher: Literal["blissdata", "pipeline"] = "blissdata"
    """How to publish; ``pipeline`` for thousands of channels, or when Redis is to go away."""
    motors: dict[str, float] = field(
        default_factory=lambda: {"robx": 0.0, "roby": 0.0, "robz": 0.0, "m0": 0.0}
    )
    """Positions; scans change them."""
    units: dict[str, str] = field(
        default_factory=lambda: {"robx": "mm", "roby": "mm", "robz": "mm", "m0": "deg"}
    )
    """Units of the motors."""
    metadata: dict[str, Json] = field(default_factory=dict)
    """User metadata by category, e.g. ``{"sample": {"name": "LaB6", "@NX_class": "NXsample"}}``."""
    dataset_metadata: dict[str, Json] = field(default_factory=dict)
    """What is known of the dataset under the ESRF data policy, e.g. ``{"Sample_name": "LaB6"}``."""
    chunk_options: dict[str, Json] = field(default_factory=dict)
    """compression_scheme, chunk_nbytes, compression_limit_nbytes, chunk_split."""
    separate_scan_files: bool = False
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self._store = DataStore(pinned_url(self.url))  # type: ignore[no-untyped-call]
        self._client = redis.Redis.from_url(pinned_url(self.url))
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the session's own connection to Redis."""
        self._client.close()

    def ct(self, **options: Unpack[ScanOptionsKeywords]) -> ScanRecord:
        """One point, never saved, published without metadata."""
        options["save"] = False
        return self.run(designs.ct, **options)

    def loopscan(self, points: int = 10, **options: Unpack[ScanOptionsKeywords]) -> ScanRecord:
        """A number of points with no motor."""
        return self.run(lambda setting: designs.loopscan(setting, points), **options)

    def timescan(self, points: int = 10, **options: Unpack[ScanOptionsKeywords]) -> ScanRecord:
        """Points whose number is not announced (unless ``npoints_known``)."""
        options.setdefault("npoints_known", False)
        return self.run(lambda setting: designs.timescan(setting, points), **options)

    def ascan(
        self,
        motor: str = "robx",
        start: float = 0.0,
        stop: float = 1.0,
        intervals: int = 10,
        **options: Unpack[ScanOptionsKeywords],
    ) -> ScanRecord:
        """A motor goes from start to stop, with a point at both ends and in between."""
        return self.run(
            lambda setting: designs.ascan(setting, motor, start, stop, intervals), **options
        )

    def amesh(
        self,
        fast: MeshAxis = FAST_AXIS,
        slow: MeshAxis = SLOW_AXIS,
        *,
        back_and_forth: bool = False,
        **options: Unpack[ScanOptionsKeywords],
    ) -> ScanRecord:
        """Two motors cover a grid."""
        return self.run(
            lambda setting: designs.amesh(setting, fast, slow, back_and_forth=back_and_forth),
            **options,
        )

    def mca(
        self,
        points: int = 5,
        analyser: SimulatedDevice | None = None,
        **options: Unpack[ScanOptionsKeywords],
    ) -> ScanRecord:
        """A loopscan with a multichannel analyser, by default `devices.mca`, and one diode."""
        options.setdefault("counters", ("diode1",))
        device = analyser or devices.mca()
        return self.run(lambda setting: designs.mca(setting, points, device), **options)

    def camera(
        self,
        frames: int = 6,
        detector: Camera = CAMERA,
        **options: Unpack[ScanOptionsKeywords],
    ) -> ScanRecord:
        """A loopscan with a camera that saves its frames itself, and one diode."""
        options.setdefault("counters", ("diode1",))
        return self.run(lambda setting: designs.camera(setting, frames, detector), **options)

    def two_top_masters(
        self, fast: int = 6, slow: int = 3, **options: Unpack[ScanOptionsKeywords]
    ) -> ScanRecord:
        """Two timers with a number of points each, hence two entries."""
        return self.run(lambda setting: designs.two_top_masters(setting, fast, slow), **options)

    def channel_scan(
        self,
        channels: Sequence[NumberChannel],
        points: int,
        *,
        name: str = "custom",
        **options: Unpack[ScanOptionsKeywords],
    ) -> ScanRecord:
        """A timer and any channels of numbers; see `number_channel`."""
        return self.run(lambda setting: designs.custom(setting, name, channels, points), **options)

    def unsaved(self, points: int = 10, **options: Unpack[ScanOptionsKeywords]) -> ScanRecord:
        """A loopscan that is not to be saved."""
        options["save"] = False
        return self.loopscan(points, **options)

    def failing_in_prepare(self, **options: Unpack[ScanOptionsKeywords]) -> ScanRecord:
        """A scan that fails before it is prepared: it never has a stream."""
        with self.open(lambda setting: designs.loopscan(setting, 5), **options) as scan:
            return scan.record

    def sequence(
        self,
        scans: Sequence[Callable[[OpenSequence], ScanRecord]],
        *,
        name: str = "sequence",
        custom_channel: str | None = None,
        **options: Unpack[ScanOptionsKeywords],
    ) -> ScanRecord:
        """A scan of scans.

        Args:
            scans: each runs one and passes the option on:
                ``lambda sequence: session.loopscan(3, sequence=sequence)``.
            name: of the sequence.
            custom_channel: a channel of the sequence itself, with one point for each scan.
            options: of the sequence.
        """
        design = designs.sequence(name, len(scans), custom_channel)
        with self.open(lambda _: design, **options) as scan:
            scan.prepare()
            scan.start()
            for run in scans:
                scan.record.subscans.append(run(_Sequence(scan)))
                scan.publish(1)
            scan.stop()
            scan.close()
        return scan.record

    def run(self, design: MakeDesign, **options: Unpack[ScanOptionsKeywords]) -> ScanRecord:
        """A scan of one's own design, to its end."""
        return self.open(design, **options).run()

    def open(self, design: MakeDesign, **options: Unpack[ScanOptionsKeywords]) -> SimulatedScan:
        """A new scan that waits to be prepared.

        Args:
            design: makes the description of the scan, e.g.
                ``lambda setting: designs.loopscan(setting, 10)``.
            options: see `ScanOptions`.
        """
        chosen = ScanOptions(**options)
        around = self._surroundings(chosen)
        made = design(Setting(self.clock.now(), chosen, around.units))
        info = ScanInfo(made, chosen, around)
        faults = chosen.faults or Faults()
        created = faults.on_info(info.created())
        identity = self._identity(made.name, around)
        publisher = self._publisher(identity, created, chosen.faults)
        return SimulatedScan(
            info,
            publisher,
            _record(info, around, publisher.key, created),
            target=Target(around.number, around.file, around.images_path, self._store),
            clock=self.clock,
            moved=self._moved,
        )

    def _surroundings(self, options: ScanOptions) -> Surroundings:
        saving = self.saving or PlainSaving(self.data_root, self.name, self.filename)
        with self._lock:
            # Without data policy, scans of all files are counted together.
            series = str(saving.file) if saving.policy == "ESRF" else ""
            series = series if options.save else "unsaved"
            number = self._numbers[series] = self._numbers.get(series, 0) + 1
            positions = dict(self.motors)
        folder = saving.file.parent / f"scan{number:04}"
        return Surroundings(
            session=self.name,
            number=number,
            file=str(saving.file) if options.save else None,
            images_path=f"{folder}/{{img_acq_device}}_",
            data_policy=saving.policy,
            data_writer=self.data_writer,
            style=self.style,
            start_time=self.clock.date(),
            positions=positions,
            units=dict(self.units),
            identity=saving.identity,
            categories=dict(self.metadata),
            master_files=saving.master_files,
            chunk_options=dict(self.chunk_options),
            separate_scan_files=self.separate_scan_files,
            h5maps=self.h5maps,
            second_map=str(saving.file.with_name(self.second_map)) if self.second_map else None,
            dataset_metadata=dict(self.dataset_metadata),
        )

    def _identity(self, name: str, around: Surroundings) -> dict[str, Json]:
        identity = {
            "name": name,
            "number": around.number,
            "data_policy": around.data_policy,
            "session": around.session,
            **around.identity,
        }
        return identity | ({"path": around.file} if around.file else {})

    def _publisher(
        self, identity: dict[str, Json], info: dict[str, Json], faults: Faults | None
    ) -> Publisher:
        if faults is None and self.publisher == "blissdata":
            return BlissdataPublisher(self._store, identity, info)
        return PipelinePublisher(self._store, self._client, identity, info, faults or Faults())

    def _moved(self, positions: Mapping[str, float]) -> dict[str, float]:
        """The positions of all motors, after some have moved."""
        with self._lock:
            self.motors.update(positions)
            return dict(self.motors)


@dataclass(frozen=True, slots=True)
class _Sequence:
    """An open sequence, as its scans see it."""

    scan: SimulatedScan

    @property
    def key(self) -> str:
        return self.scan.record.key

    def refer(self, key: str, number: int) -> None:
        self.scan.send("SUBSCANS", {"key": key, "scan_number": number})


def _record(info: ScanInfo, around: Surroundings, key: str, created: dict[str, Json]) -> ScanRecord:
    chains = sorted(info.design.chains, key=lambda chain: chain.top_master.name)
    entries = {f"{around.number}.{index}": chain for index, chain in enumerate(chains, start=1)}
    channels = {
        channel.name: ChannelRecord(channel.name, channel.dtype, channel.shape, entry, channel.path)
        for entry, chain in entries.items()
        for device in chain.top_master.tree()
        for channel in device.channels
    }
    return ScanRecord(
        key=key,
        number=around.number,
        name=info.name,
        title=str(created.get("title", "")),
        path=Path(around.file) if around.file else None,
        entries=tuple(entries) if around.file else (),
        channels=channels,
        info=created,
    )
