"""A logger for one scan."""

import logging
from collections.abc import MutableMapping
from typing import Any


class CustomLogger(logging.LoggerAdapter[logging.Logger]):
    """Puts a text, its second argument, before each message."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """The message with the text before it."""
        return f"[{self.extra}] {msg}", kwargs
