import logging

import pytest

from nexus_writer_service.errors import SettingsError
from nexus_writer_service.service.profiling import Profiler


@pytest.mark.parametrize("setting", ["CPU30", "WALL50", "MEM30"])
def test_a_profile_of_the_scan_is_logged_at_its_end(setting, caplog):
    profiler = Profiler(setting)
    with caplog.at_level(logging.INFO):
        profiler.start("4_ascan")
        held = [str(number) for number in range(1000)]
        profiler.stop("4_ascan")
    assert held
    assert "profile of scan 4_ascan" in caplog.text
    assert "size=" in caplog.text or "function calls" in caplog.text


def test_only_one_scan_is_profiled_at_a_time(caplog):
    profiler = Profiler("CPU30")
    with caplog.at_level(logging.INFO):
        profiler.start("4_ascan")
        profiler.start("5_ascan")
        profiler.stop("5_ascan")
        assert caplog.text == ""
        profiler.stop("4_ascan")
    assert "4_ascan" in caplog.text


def test_off_does_nothing(caplog):
    profiler = Profiler("OFF")
    with caplog.at_level(logging.INFO):
        profiler.start("4_ascan")
        profiler.stop("4_ascan")
    assert caplog.text == ""


def test_an_unknown_setting_is_refused():
    with pytest.raises(SettingsError, match="CPU7"):
        Profiler("CPU7")
