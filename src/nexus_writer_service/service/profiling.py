"""Profiles of scan writers, for people who want to know where the time goes.

The settings are those of the reference lineage: ``OFF``, or CPU, WALL or MEM with the number of
lines to report, e.g. ``CPU30``.
"""

import cProfile
import io
import logging
import pstats
import re
import time
import tracemalloc

from nexus_writer_service.errors import SettingsError

_log = logging.getLogger(__name__)

SETTINGS = (
    "OFF",
    *(f"{kind}{lines}" for kind in ("CPU", "WALL", "MEM") for lines in (30, 50, 100)),
)


class Profiler:
    """Profiles one scan at a time, in the thread that calls it.

    Args:
        setting: one of ``SETTINGS``.

    Raises:
        SettingsError: no such setting.
    """

    def __init__(self, setting: str = "OFF") -> None:
        self._scan = ""
        self._profile: cProfile.Profile | None = None
        self._wanted = self._read(setting)
        self._kind, self._lines = self._wanted

    def choose(self, setting: str) -> None:
        """Profile the scans that begin from now on in this way; for any thread.

        Raises:
            SettingsError: no such setting.
        """
        self._wanted = self._read(setting)

    def start(self, scan: str) -> None:
        """Begin to profile, unless another scan is being profiled."""
        if self._scan:
            return
        self._kind, self._lines = self._wanted
        if not self._kind:
            return
        self._scan = scan
        if self._kind == "MEM":
            tracemalloc.start()
            return
        timer = time.thread_time if self._kind == "CPU" else time.perf_counter
        self._profile = cProfile.Profile(timer=timer)
        self._profile.enable()

    def stop(self, scan: str) -> None:
        """End the profile of this scan and log it."""
        if not self._scan or scan != self._scan:
            return
        self._scan = ""
        text = self._memory() if self._profile is None else self._times(self._profile)
        self._profile = None
        _log.info("%s profile of scan %s\n%s", self._kind, scan, text)

    @staticmethod
    def _read(setting: str) -> tuple[str, int]:
        match = re.fullmatch(r"(CPU|WALL|MEM)(\d+)", setting)
        if setting not in SETTINGS:
            raise SettingsError(f"profiling {setting!r} is none of {', '.join(SETTINGS)}")
        return (match[1], int(match[2])) if match else ("", 0)

    def _memory(self) -> str:
        found = tracemalloc.take_snapshot().statistics("lineno")
        tracemalloc.stop()
        return "\n".join(map(str, found[: self._lines]))

    def _times(self, profile: cProfile.Profile) -> str:
        profile.disable()
        text = io.StringIO()
        pstats.Stats(profile, stream=text).sort_stats("cumulative").print_stats(self._lines)
        return text.getvalue()
