"""A detector like one behind a Lima server: it saves its frames itself and says how many it has."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from blissdata import DataStore
from blissdata.lima.client import prepare_next_lima_acquisition
from blissdata.streams.lima.stream import LimaStream

from nexus_writer_service.testing.simulation import values
from nexus_writer_service.testing.simulation.channels import (
    Feed,
    NumberChannel,
    SimulatedDevice,
    Target,
)
from nexus_writer_service.testing.simulation.records import ChannelRecord

Json = Any

UINT16: np.dtype[Any] = np.dtype(np.uint16)

LIMA_RECORD = {"device_info": {"type": "lima"}, "device_type": "lima"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """How a detector takes and saves frames."""

    name: str = "cam"
    shape: tuple[int, int] = (32, 48)
    """Rows and columns."""
    dtype: np.dtype[Any] = UINT16
    frames_per_file: int = 2
    frames_per_acquisition: int = 0
    """Frames between two preparations of the detector, each of which starts a new file; 0: all of
    the scan in one acquisition."""
    saving: bool = True
    rois: Sequence[str] = ()
    """Regions whose pixels are summed up for each frame."""

    def device(self, frames: int) -> SimulatedDevice:
        """The acquisition device for a scan of this many frames."""
        per_acquisition = self.frames_per_acquisition or frames
        image = ImageChannel(self, per_acquisition)
        controls = {"saving_frame_per_file": self.frames_per_file, "saving_format": "HDF5"}
        return SimulatedDevice(
            name=self.name,
            channels=(image,),
            triggers=tuple(self._roi_counters()),
            kind="lima",
            metadata={"type": "lima", "description": "simulated detector"},
            end_metadata={
                "acq_parameters": {"acq_nb_frames": per_acquisition},
                "ctrl_parameters": controls if self.saving else {},
            },
        )

    def _roi_counters(self) -> Iterable[SimulatedDevice]:
        channels = []
        for roi in self.rois:
            name = f"{self.name}:roi_counters:{roi}_sum"
            channels.append(
                NumberChannel(
                    name=name,
                    values=values.counts(name),
                    path=f"instrument/{self.name}_{roi}/sum",
                    dtype=np.dtype(np.int64),
                    record=LIMA_RECORD,
                )
            )
        if channels:
            yield SimulatedDevice(name="roi_counters", channels=tuple(channels), metadata={})


@dataclass(frozen=True, slots=True)
class ImageChannel:
    """The frames of a camera."""

    camera: Camera
    frames_per_acquisition: int
    about: Mapping[str, Json] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Full name."""
        return f"{self.camera.name}:image"

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a pixel."""
        return self.camera.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        return self.camera.shape

    @property
    def path(self) -> str:
        """Path of its dataset inside the entry."""
        return f"instrument/{self.camera.name}/image"

    @property
    def record(self) -> Mapping[str, Json]:
        """What the session says of a camera."""
        return LIMA_RECORD

    def feed(self, target: Target, record: ChannelRecord) -> Feed:
        """A new acquisition."""
        return _ImageFeed(self, target, record)


def _next_acquisition(store: DataStore, server: str) -> int:
    """Number of a detector server's next acquisition, by which readers tell whether it is over."""
    number: int = prepare_next_lima_acquisition(store, server)  # type: ignore[no-untyped-call]
    return number


class _ImageFeed:
    """Takes frames, saves those whose file is complete, tells both numbers."""

    def __init__(self, channel: ImageChannel, target: Target, record: ChannelRecord) -> None:
        self._camera = camera = channel.camera
        self._per_acquisition = channel.frames_per_acquisition
        self._record = record
        self._frames = values.frames(channel.name, camera.shape, camera.dtype)
        record.source = self._frames
        self._taken = 0
        self._data_path = f"/entry_0000/ESRF/{camera.name}/data"
        self._template = target.images_path.format(img_acq_device=camera.name) + "%04d.h5"
        server = f"id00/limaccds/{camera.name}"
        self.definition = LimaStream.make_definition(
            channel.name,
            camera.dtype,
            camera.shape,
            server_url=server,
            buffer_max_number=128,
            frames_per_acquisition=self._per_acquisition,
            acquisition_offset=_next_acquisition(target.store, server),
            saving=self._saving() if camera.saving else {},
        )

    def _saving(self) -> dict[str, Json]:
        return {
            "file_offset": 0,
            "frames_per_file": self._camera.frames_per_file,
            "file_format": "hdf5",
            "file_path": self._template,
            "data_path": self._data_path,
        }

    def batches(self, start: int, stop: int, block: int) -> Iterable[Any]:
        """Take frames up to ``stop``; a message for each block tells how many there are."""
        for taken in (*range(start + block, stop, block), stop):
            self._taken = taken
            self._save(complete_only=True)
            yield self._status()

    def rest(self) -> Iterable[Any]:
        """Save the frames of a file that is not full."""
        before = self._record.saved
        self._save(complete_only=False)
        if self._record.saved != before:
            yield self._status()

    def _status(self) -> dict[str, int]:
        return {"last_index": self._taken - 1, "last_index_saved": self._record.saved - 1}

    def _save(self, *, complete_only: bool) -> None:
        if not self._camera.saving:
            return
        while (first := self._record.saved) < self._taken:
            number, end = self._file_of(first)
            if end > self._taken and complete_only:
                return
            end = min(end, self._taken)
            path = Path(self._template % number)
            self._write(path, np.asarray(self._frames(first, end)))
            self._record.files.append(path)
            self._record.saved = end

    def _file_of(self, frame: int) -> tuple[int, int]:
        """Number of a frame's file, and the frame after the last one of that file."""
        per_file = self._camera.frames_per_file
        acquisition, index = divmod(frame, self._per_acquisition)
        files = math.ceil(self._per_acquisition / per_file)
        in_acquisition = index // per_file
        end = min((in_acquisition + 1) * per_file, self._per_acquisition)
        return acquisition * files + in_acquisition, acquisition * self._per_acquisition + end

    def _write(self, path: Path, images: np.ndarray[Any, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as root:
            parts = self._data_path.strip("/").split("/")
            classes = ("NXentry", "NXinstrument", "NXdetector")
            group = root
            for part, nx_class in zip(parts[:-1], classes, strict=True):
                group = group.create_group(part)
                group.attrs["NX_class"] = nx_class
            group[parts[-1]] = images
