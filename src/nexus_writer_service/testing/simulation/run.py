"""One scan, published step by step; the record tells at each moment what has been published."""

import math
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from nexus_writer_service.testing.simulation.channels import Feed, SimulatedDevice, Target
from nexus_writer_service.testing.simulation.clock import Clock, Pace
from nexus_writer_service.testing.simulation.faults import Faults
from nexus_writer_service.testing.simulation.publishers import Publisher
from nexus_writer_service.testing.simulation.records import ChannelRecord, ScanRecord
from nexus_writer_service.testing.simulation.scan_info import ScanInfo

_ENTRIES_TOGETHER = 20_000
_BYTES_TOGETHER = 32 << 20


class SimulatedScan:
    """A scan that exists in Redis and waits for `prepare`, `start`, `publish`, `stop`, `close`.

    Made by `SimulatedSession.open`. Leaving its ``with`` block closes it as a failure, unless it
    has been closed or its publisher is to disappear.
    """

    def __init__(
        self,
        info: ScanInfo,
        publisher: Publisher,
        record: ScanRecord,
        *,
        target: Target,
        clock: Clock,
        moved: Callable[[Mapping[str, float]], Mapping[str, float]],
    ) -> None:
        self.record = record
        self._info = info
        self._design = info.design
        self._options = info.options
        self._publisher = publisher
        self._target = target
        self._clock = clock
        self._moved = moved
        self._faults = info.options.faults or Faults()
        self._feeds: dict[str, Feed] = {}
        self._done = 0
        self._points = max(chain.points for chain in info.design.chains)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.record.state != "CLOSED" and not self._faults.unclosed:
            self.close("FAILURE")

    def run(self) -> ScanRecord:
        """The whole life of the scan, at the pace and to the end that its options say."""
        with self:
            self.prepare()
            self.start()
            abort_after = self._options.abort_after
            self.publish(abort_after)
            if self._faults.unclosed:
                return self.record
            if abort_after is not None and abort_after < self._points:
                self.abort()
            else:
                self.stop()
                self.close()
        return self.record

    def prepare(self) -> None:
        """Create the streams; the scan is PREPARED, and its sequence learns of it."""
        for channel in self._info.channels:
            record = self.record.channels[channel.name]
            record.garbage = self._faults.garbage.get(channel.name)
            self._feeds[channel.name] = channel.feed(self._target, record)
        info = self._info.prepared(self._clock.date())
        self.record.info = self._faults.on_info(info)
        self._publisher.prepare(
            self.record.info, [feed.definition for feed in self._feeds.values()]
        )
        self.record.state = "PREPARED"
        if self._options.sequence is not None:
            self._options.sequence.refer(self.record.key, self.record.number)

    def start(self) -> None:
        """Data may follow: the scan is STARTED."""
        self._publisher.start()
        self.record.state = "STARTED"

    def publish(self, points: int | None = None) -> None:
        """Publish the next points (by default all that are left), until Redis has them.

        A chain with fewer points than others publishes its share.
        """
        last = self._points if points is None else min(self._done + points, self._points)
        pace = Pace(self._clock, self._options.period)
        while self._done < last:
            stop = min(self._done + self._stride, last)
            pace.wait_for(self._done)
            for chain in self._design.chains:
                reached = [-(-chain.points * done // self._points) for done in (self._done, stop)]
                for device in chain.top_master.tree():
                    self._publish_device(device, *reached)
            self._publisher.push()
            self._done = stop
        self._publisher.flush()

    @property
    def _stride(self) -> int:
        """Points that are published together: one entry, or many when nothing is to be waited for.

        Bounded by what is sensible to hold in memory.
        """
        block = self._options.block
        if self._options.period:
            return block
        records = self.record.channels.values()
        sizes = [record.dtype.itemsize * abs(math.prod(record.shape)) for record in records]
        entries = min(_ENTRIES_TOGETHER // len(sizes), _BYTES_TOGETHER // (sum(sizes) * block))
        return block * max(entries, 1)

    def _publish_device(self, device: SimulatedDevice, start: int, stop: int) -> None:
        if start == stop:
            return
        block = self._options.block
        for channel in device.channels:
            for batch in self._feeds[channel.name].batches(start, stop, block):
                self._publisher.send(channel.name, batch, block)
            self._count(self.record.channels[channel.name], start, stop)

    def _count(self, record: ChannelRecord, start: int, stop: int) -> None:
        record.length = stop
        trimmed = self._faults.trimmed.get(record.name, 0)
        if start < trimmed:
            entry = 1 if -1 in record.shape else self._options.block
            record.first = min(start - (start - trimmed) // entry * entry, stop)

    def send(self, channel: str, data: object) -> None:
        """Send anything to a stream, past the record; it is there when this returns."""
        self._publisher.send(channel, data, self._options.block)
        self._publisher.flush()

    def abort(self) -> None:
        """What Ctrl-C leaves: the top master is one point ahead, and the scan is never STOPPED."""
        for chain in self._design.chains:
            done = -(-chain.points * self._done // self._points)
            self._publish_device(chain.top_master, done, min(done + 1, chain.points))
        self.close("USER_ABORT")

    def stop(self) -> None:
        """All data are published: the scan is STOPPED."""
        self._send_rest()
        self._publisher.stop()
        self.record.state = "STOPPED"

    def close(self, end_reason: str = "SUCCESS") -> None:
        """The scan is CLOSED, from whatever state it is in."""
        if self.record.state == "STARTED":
            self._send_rest()
        now = self._clock.date()
        info = self._info.closed(end_reason, now, self._moved(self._positions()))
        self.record.info = self._faults.on_info(info)
        self._publisher.close(self.record.info)
        self.record.state = "CLOSED"
        self.record.end_reason = end_reason

    def _send_rest(self) -> None:
        for name, feed in self._feeds.items():
            for batch in feed.rest():
                self._publisher.send(name, batch, self._options.block)
        self._publisher.flush()

    def _positions(self) -> dict[str, float]:
        """Where the scan has left the motors that it moves."""
        channels = {motor: self.record.channels[name] for motor, name in self._design.moves.items()}
        return {
            motor: float(record.values(record.length - 1)[0])
            for motor, record in channels.items()
            if record.length
        }
