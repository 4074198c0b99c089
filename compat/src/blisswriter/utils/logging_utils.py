"""A logger for one scan."""

import logging
from collections.abc import MutableMapping
from typing import Any


class CustomLogger(logging.LoggerAdapter[logging.Logger]):
    """Puts a text in brackets before each message.

    Args:
        logger: gets the messages.
        text: of the scan.
    """

    def __init__(self, logger: Any, text: str) -> None:
        super().__init__(logger)
        self._text = text

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """The message with the text before it."""
        return f"[{self._text}] {msg}", kwargs
