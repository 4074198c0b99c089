"""``nexus-writer bluesky``: NXWriter as a service, outside the RunEngine's process."""

import logging
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from nexus_writer_service.cli.export_job import DEFAULT_WRITER, load_writer
from nexus_writer_service.errors import DecodeError, SettingsError
from nexus_writer_service.sources.bluesky.recording import Document

_log = logging.getLogger(__name__)

_TICK = 0.25
"""Seconds between two looks for signals and results."""


class Source(Protocol):
    """Where documents come from."""

    def read(self, timeout: float) -> Document | None:
        """The next document; None when there is none for so many seconds."""


def serve(
    address: Annotated[
        str, typer.Argument(help="Of bluesky's 0MQ proxy, its outgoing side: host:port.")
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path(),
    prefix: Annotated[str, typer.Option(help="Only documents of publishers with this one.")] = "",
    writer: Annotated[
        str, typer.Option(help="Your own writer instead: module:class.")
    ] = DEFAULT_WRITER,
    grace: Annotated[
        float, typer.Option(help="Seconds that runs which are over have to be written at the end.")
    ] = 20.0,
) -> None:
    """Write the runs that a RunEngine publishes through bluesky's 0MQ proxy, until SIGTERM.

    The RunEngine publishes with Publisher(address, serializer=pack), pack of
    nexus_writer_service.sources.bluesky.encoding; what is pickled, bluesky's default, is refused.
    """
    try:
        # Here, since pyzmq comes with an extra.
        from nexus_writer_service.sources.bluesky.zeromq import Subscription  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            f"0MQ is not installed ({error}): install nexus_writer_service[bluesky]"
        ) from error
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    made = load_writer(writer)()
    made.file_path = str(out.resolve())
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    with Subscription(address, prefix) as subscription:
        typer.echo(f"listening to {address}, files go to {out.resolve()}")
        follow(subscription, made, over.is_set, typer.echo)
    conclude(made, grace, typer.echo)


def follow(
    source: Source, writer: Any, over: Callable[[], bool], say: Callable[[str], Any]
) -> None:
    """Give documents to a writer, and say what becomes of the runs.

    A message that cannot be understood is logged, and the next one is read.

    Args:
        source: where they come from.
        writer: an ``NXWriter``.
        over: tells when to end.
        say: is told of each result.
    """
    while not over():
        try:
            document = source.read(_TICK)
        except DecodeError as error:
            _log.error("a message is left out: %s", error)
            continue
        if document is not None:
            writer.receiver(*document)
        if document is None or document[0] == "start":
            _say_results(writer, 0.0, say)


def conclude(writer: Any, grace: float, say: Callable[[str], Any]) -> None:
    """End a writer: runs that are over are finished, those that go on are left as they are."""
    _say_results(writer, grace, say)
    writer.close()
    _say_results(writer, grace, say)


def _say_results(writer: Any, timeout: float, say: Callable[[str], Any]) -> None:
    try:
        for result in writer.wait_writer(timeout):
            say(str(result))
    except TimeoutError as error:
        if timeout:
            _log.warning("%s", error)
