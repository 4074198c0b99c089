"""The log levels that the device offers, of Python and of Tango."""

import logging
from enum import IntEnum

import tango


class Level(IntEnum):
    """Levels in the words of the lineage."""

    NOTSET = 0
    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4
    FATAL = 5


_PYTHON = {
    Level.NOTSET: logging.NOTSET,
    Level.DEBUG: logging.DEBUG,
    Level.INFO: logging.INFO,
    Level.WARN: logging.WARNING,
    Level.ERROR: logging.ERROR,
    Level.FATAL: logging.CRITICAL,
}
_TANGO = {
    Level.NOTSET: 100,
    Level.DEBUG: 600,
    Level.INFO: 500,
    Level.WARN: 400,
    Level.ERROR: 300,
    Level.FATAL: 200,
}
"""As log4tango numbers them; the first one is off [log4tango/Level.h]."""


def python_level(logger: logging.Logger) -> Level:
    """The level of a Python logger; one between two levels counts as the higher."""
    return next((one for one, number in _PYTHON.items() if number >= logger.level), Level.FATAL)


def set_python_level(logger: logging.Logger, level: Level) -> None:
    """Set the level of a Python logger."""
    logger.setLevel(_PYTHON[level])


def tango_level(logger: tango.Logger) -> Level:
    """The level of a logger of Tango."""
    number = logger.get_level()
    return next((one for one, found in _TANGO.items() if found == number), Level.NOTSET)


def set_tango_level(logger: tango.Logger, level: Level) -> None:
    """Set the level of a logger of Tango."""
    logger.set_level(_TANGO[level])
