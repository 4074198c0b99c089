"""Fixtures of the tests of the examples."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support_waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXAMPLE = Path(__file__).parents[2] / "examples" / "external_saving_example.py"


class Listening:
    """The example, listening to a session."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.log = log

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def heard(self, text: str) -> None:
        """Wait until it says this."""
        wait_for(lambda: text in self.said(), what=f"{text!r} in {self.log}")

    def ended(self) -> str:
        """Wait for its end; what it said."""
        assert self.process.wait(timeout=30) == 0, self.said()
        return self.said()


@pytest.fixture
def listen(redis_url: str, tmp_path: Path) -> "Iterator[Callable[..., Listening]]":
    """Start the example with arguments; its files go to ``tmp_path/external``."""
    with ExitStack() as stack:

        def start(*arguments: str) -> Listening:
            log = tmp_path / "example.log"
            output = stack.enter_context(log.open("w"))
            command = [sys.executable, str(EXAMPLE), *arguments]
            process = stack.enter_context(
                subprocess.Popen(
                    # A background process would ignore Ctrl-C otherwise.
                    ["env", "--default-signal=INT", *command, "--out", str(tmp_path / "external")],
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    text=True,
                    env=os.environ | {"REDIS_DATA_URL": redis_url},
                )
            )
            stack.callback(process.kill)
            listening = Listening(process, log)
            listening.heard("listening to session")
            return listening

        yield start
