"""Logging as the commands of the lineage offer it: levels, files that rotate, streams."""

import io
import logging
import logging.handlers
import sys
from dataclasses import dataclass
from typing import IO, Annotated

from nexus_writer_service.cli.command import option
from nexus_writer_service.errors import SettingsError

LOG = "Log"
"""The panel of the help text."""

_LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG", "NOTSET")
_SHORT = {
    "WARNING": "WARN ",
    "CRITICAL": "FATAL",
    "INFO": "INFO ",
    "ERROR": "ERROR",
    "DEBUG": "DEBUG",
}


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Where log records go."""

    log: Annotated[str, option("--log", "CRITICAL ... DEBUG, NOTSET.", LOG)] = "WARNING"
    logfile: Annotated[str, option("--logfile", "All records.", LOG)] = ""
    logfileout: Annotated[str, option("--logfileout", "Records below WARNING.", LOG)] = ""
    logfileerr: Annotated[str, option("--logfileerr", "Records from WARNING on.", LOG)] = ""
    filesize: Annotated[float, option("--filesize", "MB per log file; 0: no limit.", LOG)] = 5
    filebackups: Annotated[int, option("--filebackups", "Rotated files kept.", LOG)] = 9
    nologstdout: Annotated[
        bool, option("--nologstdout", "No records below WARNING on stdout.", LOG)
    ] = False
    redirectstdout: Annotated[
        bool, option("--redirectstdout", "What is printed goes to the log.", LOG)
    ] = False
    redirectstderr: Annotated[bool, option("--redirectstderr", "stderr goes to the log.", LOG)] = (
        False
    )


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        record.levelname = _SHORT.get(record.levelname, record.levelname)
        return super().format(record)


class _Below(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno < logging.WARNING


class _LineLogger(io.TextIOBase):
    """A text stream whose lines become log records."""

    def __init__(self, logger: logging.Logger, level: int) -> None:
        self._logger = logger
        self._level = level
        self._rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                self._logger.log(self._level, "%s", line)
        return len(text)


def set_up(options: LogOptions) -> None:
    """Send the records of this process where the options say.

    Raises:
        SettingsError: no such level, or a file that cannot be written.
    """
    level = options.log.upper()
    if level not in _LEVELS:
        raise SettingsError(f"log level {options.log!r} is none of {', '.join(_LEVELS)}")
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    logging.getLogger("nexus_writer_service").setLevel(level)
    out, err = sys.stdout, sys.stderr
    handlers: list[logging.Handler] = [_stream(err, logging.WARNING)]
    if not options.nologstdout:
        handlers.append(_below(_stream(out)))
    if options.logfile:
        handlers.append(_file(options.logfile, options))
    if options.logfileout:
        handlers.append(_below(_file(options.logfileout, options)))
    if options.logfileerr:
        handlers.append(_file(options.logfileerr, options, logging.WARNING))
    for handler in handlers:
        handler.setFormatter(_Formatter("%(levelname)s %(asctime)s %(name)s: %(message)s"))
        root.addHandler(handler)
    logging.captureWarnings(capture=True)
    if options.redirectstdout:
        sys.stdout = _redirected("stdout", logging.INFO)
    if options.redirectstderr:
        sys.stderr = _redirected("stderr", logging.ERROR)


def _redirected(name: str, level: int) -> IO[str]:
    logger = logging.getLogger(f"nexus_writer_service.{name}")
    return _LineLogger(logger, level)  # type: ignore[return-value]  # a TextIOBase is a text stream


def _stream(stream: IO[str], level: int = logging.NOTSET) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.setLevel(level)
    return handler


def _file(path: str, options: LogOptions, level: int = logging.NOTSET) -> logging.Handler:
    try:
        handler = logging.handlers.RotatingFileHandler(
            path,
            maxBytes=int(options.filesize * (1 << 20)),
            backupCount=options.filebackups,
            encoding="utf-8",
        )
    except OSError as error:
        raise SettingsError(f"cannot write the log file {path}: {error.strerror}") from error
    handler.setLevel(level)
    return handler


def _below(handler: logging.Handler) -> logging.Handler:
    handler.addFilter(_Below())
    return handler
