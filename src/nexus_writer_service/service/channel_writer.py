"""One channel of a scan on its way into the file: what was published, written, and lost."""

from contextlib import suppress
from dataclasses import dataclass, field

from nexus_writer_service.errors import DatasetError
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.layout.plan import Place
from nexus_writer_service.model.description import ChannelName, Content
from nexus_writer_service.model.verdict import ChannelTally, Gap

_NOT_RECEIVED = "they were never received"
_NOT_READABLE = "the detector's file is missing, or cannot be read"


@dataclass(slots=True)
class ChannelWriter:
    """The state of one channel; errors of a channel stay here and cost nobody else.

    Points come in the order of their index, and after a restart once more from the first one on:
    how far the channel is says which of them are new.
    """

    name: ChannelName
    content: Content
    place: Place | None
    """Where the points go; None for a channel without a dataset (the scans of a sequence)."""
    aside: bool = False
    """It tells of the points of another channel."""
    begun: bool = False
    """Its first point has come, so its dataset is in the file."""
    published: int | None = None
    reached: int = 0
    """Index behind the last point that is written or known to be lost."""
    gaps: list[Gap] = field(default_factory=list)
    """What was lost below ``reached``, in order."""
    frames: int = 0
    """Frames that the detector has taken."""
    saved: int = 0
    """Frames that the detector says are on disk."""
    nbytes: int = 0
    lost: bool = False
    """Nothing more of this channel is written."""
    problems: list[str] = field(default_factory=list)

    @property
    def written(self) -> int:
        """Points that are in the file, or will be with the next commit."""
        return self.reached - sum(gap.stop - gap.start for gap in self.gaps)

    def go_on_from(self, earlier: ChannelTally) -> None:
        """Take over what an earlier writer noted; the length of a dataset is not among it."""
        self.gaps = list(earlier.gaps)
        self.reached = max((gap.stop for gap in self.gaps), default=0)
        if self.content is Content.SCANS:
            # There is no dataset to tell how many links the file has.
            self.reached = earlier.written + sum(gap.stop - gap.start for gap in self.gaps)

    def found(self, length: int) -> None:
        """Learn that the dataset has this many points, lost ones included."""
        if self.content is Content.IMAGES and length < self.reached:
            # Raw data are mapped anew from the first frame on: missing files may have come.
            self.gaps = [gap for gap in self.gaps if gap.stop <= length]
            self.reached = length
        self.reached = max(self.reached, length)

    def take(self, start: int, count: int) -> None:
        """Points ``start .. start + count - 1`` were taken by the file."""
        self.skip(start, _NOT_RECEIVED)
        self.reached = max(self.reached, start + count)

    def skip(self, stop: int, reason: str) -> Gap | None:
        """Points up to ``stop`` are lost but for those that are there; returns what is missing."""
        if stop <= self.reached:
            return None
        gap = Gap(self.reached, stop, reason)
        last = self.gaps[-1] if self.gaps else None
        if last is not None and (last.stop, last.reason) == (gap.start, reason):
            self.gaps[-1] = Gap(last.start, stop, reason)
        else:
            self.gaps.append(gap)
        self.reached = stop
        return gap

    def lose(self, reason: str) -> None:
        """Give the channel up from here on."""
        self.lost = True
        self.problems.append(reason)

    @property
    def available(self) -> int:
        """Frames that can be had while the detector is at work: those on disk, if pixels are."""
        return self.saved if self.place and self.place.copied else self.frames

    def extend(self, file: NexusFile, frames: int) -> None:
        """Take in up to so many frames, as far as their files have come by now.

        Raises:
            DatasetError: the frames do not fit their dataset.
        """
        if self.place is not None and not self.lost and self.reached < frames:
            self.reached = file.extend(self.place.path, frames)

    def catch_up(self, file: NexusFile) -> bool:
        """Take in all frames whose files have come by now; tells whether some are still missing.

        Raises:
            DatasetError: the frames do not fit their dataset.
        """
        if self.place is None or self.lost:
            return False
        self.extend(file, self.frames)
        return self.reached < self.frames or bool(file.missing_files(self.place.path))

    def skip_missing(self, file: NexusFile) -> Gap | None:
        """Give up the next frames that are awaited; None when there are none."""
        if self.place is None or self.lost or self.reached >= self.frames:
            return None
        skipped = file.skip(self.place.path)
        return self.skip(skipped[1], _NOT_READABLE) if skipped else None

    def tally(self, file: NexusFile | None) -> ChannelTally:
        """The account of this channel for the verdict."""
        missing: tuple[str, ...] = ()
        external: tuple[str, ...] = ()
        in_files = self.content in (Content.IMAGES, Content.LOCATED)
        if in_files and self.begun and self.place and file is not None:
            with suppress(DatasetError):  # the file lets go of a stack that is complete
                missing = file.missing_files(self.place.path)
                external = file.external_files(self.place.path)
        return ChannelTally(
            channel=self.name,
            published=self.published,
            written=self.written,
            problems=tuple(self.problems),
            files_missing=missing,
            gaps=tuple(self.gaps),
            external=external,
        )
