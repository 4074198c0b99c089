"""One channel of a scan on its way into the file: what was published, written, and lost."""

from dataclasses import dataclass, field

from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.layout.plan import Place
from nexus_writer_service.model.description import ChannelName, Content
from nexus_writer_service.model.verdict import ChannelTally


@dataclass(slots=True)
class ChannelWriter:
    """The state of one channel; errors of a channel stay here and cost nobody else."""

    name: ChannelName
    content: Content
    place: Place | None
    """Where the points go; None for a channel without a dataset (the scans of a sequence)."""
    begun: bool = False
    """Its first point has come, so its dataset is in the file."""
    published: int | None = None
    written: int = 0
    frames: int = 0
    """Frames that can be had: taken by the detector, or on disk where pixels are copied."""
    nbytes: int = 0
    lost: bool = False
    """Nothing more of this channel is written."""
    problems: list[str] = field(default_factory=list)

    def lose(self, reason: str) -> None:
        """Give the channel up from here on."""
        self.lost = True
        self.problems.append(reason)

    def catch_up(self, file: NexusFile) -> bool:
        """Take in frames whose files have come by now; tells whether some are still missing.

        Raises:
            DatasetError: the frames do not fit their dataset.
        """
        if self.place is None or self.lost:
            return False
        if self.written < self.frames:
            self.written = file.extend(self.place.path, self.frames)
        return self.written < self.frames or bool(file.missing_files(self.place.path))

    def tally(self, file: NexusFile | None) -> ChannelTally:
        """The account of this channel for the verdict."""
        missing: tuple[str, ...] = ()
        if self.content is Content.IMAGES and self.begun and self.place and file is not None:
            missing = file.missing_files(self.place.path)
        return ChannelTally(self.name, self.published, self.written, tuple(self.problems), missing)
