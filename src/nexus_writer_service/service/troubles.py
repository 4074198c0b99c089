"""What goes wrong with one scan: told at once in the log, kept for its verdict."""

import logging

_log = logging.getLogger(__name__)


class Troubles:
    """Warnings, problems and the fault of one scan.

    Args:
        name: of the scan, for the log.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.warnings: list[str] = []
        """What a person should know although nothing is missing."""
        self.problems: list[str] = []
        """What is missing in the file, apart from channels, or cut the scan short."""
        self.fault: str | None = None
        """The first thing that is being lost while the rest goes on."""

    def warn(self, *texts: str) -> None:
        """Tell what costs nothing; each text once, empty ones never."""
        for text in texts:
            if text and text not in self.warnings:
                self.warnings.append(text)
                _log.warning("scan %s: %s", self._name, text)

    def alarm(self, text: str) -> None:
        """Tell what is being lost."""
        self.fault = self.fault or text
        _log.error("scan %s: %s", self._name, text)

    def complain(self, problems: list[str]) -> None:
        """Tell what is missing in the file, apart from channels."""
        self.problems += problems
        for problem in problems:
            self.alarm(problem)
