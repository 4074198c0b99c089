"""Logging as the commands of the lineage offer it: levels, files that rotate, streams."""

import io
import logging
import logging.handlers
import sys
from dataclasses import dataclass
from typing import IO

from nexus_writer_service.errors import SettingsError

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

    level: str = "WARNING"
    file: str = ""
    """Everything."""
    file_out: str = ""
    """Records below WARNING only."""
    file_err: str = ""
    """Records at or above WARNING only."""
    file_megabytes: float = 5
    """Size at which files are rotated; 0: never."""
    file_backups: int = 9
    no_stdout: bool = False
    """Do not echo records below WARNING to stdout."""
    redirect_stdout: bool = False
    """What is printed becomes log records (of the logger ``stdout``)."""
    redirect_stderr: bool = False


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
    level = options.level.upper()
    if level not in _LEVELS:
        raise SettingsError(f"log level {options.level!r} is none of {', '.join(_LEVELS)}")
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    logging.getLogger("nexus_writer_service").setLevel(level)
    out, err = sys.stdout, sys.stderr
    handlers: list[logging.Handler] = [_stream(err, logging.WARNING)]
    if not options.no_stdout:
        handlers.append(_below(_stream(out)))
    if options.file:
        handlers.append(_file(options.file, options))
    if options.file_out:
        handlers.append(_below(_file(options.file_out, options)))
    if options.file_err:
        handlers.append(_file(options.file_err, options, logging.WARNING))
    for handler in handlers:
        handler.setFormatter(_Formatter("%(levelname)s %(asctime)s %(name)s: %(message)s"))
        root.addHandler(handler)
    logging.captureWarnings(capture=True)
    if options.redirect_stdout:
        sys.stdout = _redirected("stdout", logging.INFO)
    if options.redirect_stderr:
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
            maxBytes=int(options.file_megabytes * (1 << 20)),
            backupCount=options.file_backups,
            encoding="utf-8",
        )
    except OSError as error:
        raise SettingsError(f"cannot write the log file {path}: {error.strerror}") from error
    handler.setLevel(level)
    return handler


def _below(handler: logging.Handler) -> logging.Handler:
    handler.addFilter(_Below())
    return handler
