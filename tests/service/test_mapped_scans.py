"""Scans that bring maps of their files are written as mapped; all else holds as for the others."""

import h5py
import pytest
from tests.support_mapped import (
    INSTRUMENT,
    MOTOR,
    PLAIN,
    STREAM,
    MappedBench,
    entry,
    group,
    opened,
    published,
    soft,
    with_attributes,
    written,
)
from tests.support_scan_writer import DIODE, ROBX
from tests.support_waiting import wait_for

from nexus_writer_service.model.states import ScanState
from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.service import lookout
from nexus_writer_service.service.disk_space import MEGABYTE

pytestmark = pytest.mark.nonconforming("maps may say what they like; those of BLISS conform")


def test_points_stand_where_the_map_says_and_the_verdict_in_the_entry(tmp_path):
    bench = MappedBench(tmp_path, {"data.h5": published(PLAIN)})
    verdict = written(bench)
    assert (verdict.outcome, verdict.warnings) == (Outcome.COMPLETE, ())
    assert bench.state() is ScanState.OFF
    with opened(bench) as file:
        assert file["7.1/measurement/diode"][()].tolist() == [1, 2, 3, 4]
        assert file["7.1/instrument/robx/value"][()].tolist() == [1, 2, 3, 4]
        assert file["7.1/title"].asstr()[()] == "a scan"
        assert file["7.1/writer/status"].asstr()[()] == "SUCCEEDED"


def test_attributes_and_links_of_a_stream_are_there_with_its_first_point(tmp_path):
    plain = published(PLAIN)
    plain["attributes"]["place"] = "id00"
    plain["children"]["7.1"]["children"]["title"] = with_attributes("a scan", language="en")
    bench = MappedBench(tmp_path, {"data.h5": plain})
    bench.prepare()
    bench.settle()
    with opened(bench) as file:
        assert file.attrs["place"] == "id00"
        assert file["7.1"].attrs["NX_class"] == "NXentry"
        assert file["7.1/title"].attrs["language"] == "en"
        assert "diode" not in file.get("7.1/measurement", {})
    bench.send(DIODE, 1.5)
    bench.settle()
    with opened(bench) as file:
        assert file["7.1/instrument/diode/data"].attrs["units"] == "V"
        assert file["7.1/measurement/diode"][()].tolist() == [1.5]
    bench.end_with()


def test_a_stream_goes_to_all_its_places_and_counts_once(tmp_path):
    more = group("NXcollection", copy=with_attributes(STREAM, units="mV"))
    first = entry(instrument=INSTRUMENT, more=more)
    second = {"type": "group", "children": {"7.1": group("NXentry", diode=STREAM)}}
    bench = MappedBench(tmp_path, {"data.h5": published(first), "b.h5": published(second)})
    verdict = written(bench)
    assert verdict.outcome is Outcome.COMPLETE
    assert verdict.summary == "complete: 8 points in 2 channels"
    with opened(bench) as file, opened(bench, "b.h5") as other:
        assert file["7.1/more/copy"][()].tolist() == [1, 2, 3, 4]
        assert file["7.1/more/copy"].attrs["units"] == "mV"
        assert other["7.1/diode"][()].tolist() == [1, 2, 3, 4]
        assert other["7.1/writer/status"].asstr()[()] == "SUCCEEDED"
        assert other.attrs["NX_class"] == "NXroot"


def test_maps_of_which_none_can_be_followed_fail_that_scan_with_the_reason(tmp_path):
    bench = MappedBench(tmp_path, {"data.h5": {"type": "dataset", "value": 1}})
    verdict = written(bench)
    assert verdict.outcome is Outcome.FAILED
    assert "not that of a group" in verdict.summary
    assert not (tmp_path / "data.h5").exists()


def test_groups_in_groups_without_end_are_refused(tmp_path):
    deep = group()
    for _ in range(100):
        deep = group(below=deep)
    found = published(PLAIN)
    found["children"]["7.1"]["children"]["deep"] = deep
    bench = MappedBench(tmp_path, {"data.h5": found})
    assert "groups deep" in written(bench).summary


def test_links_in_a_circle_hang_nobody(tmp_path):
    loops = group("NXcollection", up=soft("/7.1"), a=soft("b"), b=soft("a"))
    bench = MappedBench(tmp_path, {"data.h5": published(entry(instrument=INSTRUMENT, loops=loops))})
    bench.prepare()
    bench.points(ROBX, DIODE)
    bench.end_with(None)
    with opened(bench) as file:
        assert set(file["7.1/loops"]) == {"up", "a", "b"}


def test_files_outside_the_allowed_roots_are_refused_and_the_others_written(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    second = {"type": "group", "children": {"7.1": group("NXentry", diode=STREAM)}}
    maps = {"data.h5": published(PLAIN), "../outside.h5": published(second)}
    bench = MappedBench(inside, maps, roots=(str(inside),))
    verdict = written(bench)
    assert verdict.outcome is Outcome.INCOMPLETE
    assert "outside the allowed roots" in verdict.summary
    assert not (tmp_path / "outside.h5").exists()
    with opened(bench) as file:
        assert file["7.1/measurement/diode"][()].tolist() == [1, 2, 3, 4]


def test_the_last_map_adds_changes_and_takes_away(tmp_path):
    first = entry(
        title="a scan",
        gone=1,
        changed=2,
        kind=group("NXcollection", inner=1),
        instrument=INSTRUMENT,
    )
    first["children"]["7.1"]["attributes"]["dropped"] = 1
    last = entry(title="a scan", changed="text", kind=5, end_time="late", instrument=INSTRUMENT)
    last["children"]["7.1"]["attributes"]["added"] = 2
    bench = MappedBench(tmp_path, {"data.h5": published(first)})
    assert written(bench, {"data.h5": published(last)}).outcome is Outcome.COMPLETE
    with opened(bench) as file:
        found = file["7.1"]
        assert "gone" not in found
        assert found["changed"].asstr()[()] == "text"
        assert found["kind"][()] == 5
        assert found["end_time"].asstr()[()] == "late"
        assert "dropped" not in found.attrs
        assert found.attrs["added"] == 2


def test_points_stay_where_they_are_when_the_last_map_moves_them(tmp_path):
    first = entry(here=group("NXcollection", diode=STREAM))
    last = entry(there=group("NXcollection", diode=STREAM))
    bench = MappedBench(tmp_path, {"data.h5": published(first)})
    verdict = written(bench, {"data.h5": published(last)})
    assert any("no longer mapped" in text for text in verdict.warnings)
    assert any("only at the end" in text for text in verdict.warnings)
    with opened(bench) as file:
        assert file["7.1/here/diode"][()].tolist() == [1, 2, 3, 4]
        assert file["7.1/there/diode"][()].tolist() == [1, 2, 3, 4]


def test_an_entry_of_another_scan_is_left_as_it_is(tmp_path):
    written(MappedBench(tmp_path, {"data.h5": published(PLAIN)}))
    other = MappedBench(tmp_path, {"data.h5": published(PLAIN)}, key="esrf:scan:02")
    verdict = written(other)
    assert verdict.outcome is Outcome.FAILED
    assert "exists already" in verdict.summary


def test_a_stream_in_the_root_gets_an_entry_for_the_verdict_and_never_takes_anothers_place(
    tmp_path,
):
    bare = {"type": "group", "children": {"diode": STREAM}}
    written(MappedBench(tmp_path, {"data.h5": published(bare)}))
    other = MappedBench(tmp_path, {"data.h5": published(bare)}, key="esrf:scan:02", number=8)
    verdict = written(other)
    assert "/diode exists already" in verdict.summary
    with opened(other) as file:
        assert file["diode"][()].tolist() == [1, 2, 3, 4]
        assert file["7.1/writer/status"].asstr()[()] == "SUCCEEDED"
        assert file["8.1/writer/status"].asstr()[()] == "FAILED"


def test_a_writer_that_is_started_again_goes_on_in_all_files(tmp_path):
    second = {"type": "group", "children": {"7.1": group("NXentry", diode=STREAM)}}
    maps = {"data.h5": published(PLAIN), "b.h5": published(second)}
    first = MappedBench(tmp_path, maps)
    first.prepare()
    first.send(DIODE, 1, 2)
    first.settle()
    first.writer.suspend("stopped")
    first.settle_until_over()
    first.files.close()
    again = MappedBench(tmp_path, maps)
    assert written(again).outcome is Outcome.COMPLETE
    with opened(again) as file, opened(again, "b.h5") as other:
        assert file["7.1/instrument/diode/data"][()].tolist() == [1, 2, 3, 4]
        assert other["7.1/diode"][()].tolist() == [1, 2, 3, 4]


def test_too_little_room_for_one_of_its_files_halts_a_scan(tmp_path, monkeypatch):
    monkeypatch.setattr(lookout, "PERIOD", 0.01)
    full: list[str] = []
    second = {"type": "group", "children": {"7.1": group("NXentry", diode=STREAM)}}
    bench = MappedBench(
        tmp_path,
        {"data.h5": published(PLAIN), "other/b.h5": published(second)},
        free=lambda directory: 0 if directory in full else 10_000 * MEGABYTE,
    )
    bench.prepare()
    full.append(str(tmp_path / "other"))

    def halted():
        bench.clock.advance(10)
        bench.settle()
        return bench.status.halted

    wait_for(halted, what="a scan that is halted")
    assert f"Free disk space below 200 MB in {full[0]}" in bench.status.halted
    bench.writer.stop("enough")
    bench.settle_until_over()
    bench.files.close()
    bench.disk.stop()


@pytest.mark.parametrize("ahead", ["data.h5", "b.h5"])
def test_a_scan_goes_on_where_only_one_of_its_files_had_its_last_commit(tmp_path, ahead):
    """As after a kill between the commits of two files."""
    second = {"type": "group", "children": {"x": group("NXentry", diode=STREAM)}}
    maps = {"data.h5": published(entry(robx=MOTOR)), "b.h5": published(second)}
    first = MappedBench(tmp_path, maps)
    first.prepare()
    first.send(DIODE, 1)
    first.settle()
    first.files.commit()
    behind = {name: (tmp_path / name).read_bytes() for name in maps if name != ahead}
    first.points(ROBX, DIODE)
    first.end_with()
    assert first.status.verdict.outcome is Outcome.COMPLETE
    for name, content in behind.items():
        (tmp_path / name).write_bytes(content)
    again = MappedBench(tmp_path, maps)
    assert written(again).outcome is Outcome.COMPLETE
    with opened(again) as file, opened(again, "b.h5") as other:
        assert file["7.1/robx"][()].tolist() == [1, 2, 3, 4]
        assert other["x/diode"][()].tolist() == [1, 2, 3, 4]
        assert other["x/writer/status"].asstr()[()] == "SUCCEEDED"
        assert file["7.1/writer/status"].asstr()[()] == "SUCCEEDED"


def test_a_plot_comes_with_the_last_stream_that_it_shows(tmp_path):
    plot = group(
        "NXdata", diode=soft("../instrument/diode/data"), robx=soft("../instrument/robx/value")
    )
    plot["attributes"] |= {"signal": "diode", "axes": ["robx"]}
    found = entry(instrument=INSTRUMENT, plot=plot)
    found["children"]["7.1"]["attributes"]["default"] = "plot"
    bench = MappedBench(tmp_path, {"data.h5": published(found)})
    bench.prepare()
    bench.send(DIODE, 1)
    bench.settle()
    with opened(bench) as file:
        assert "plot" not in file["7.1"]
        assert "default" not in file["7.1"].attrs
    bench.send(ROBX, 1)
    bench.settle()
    with opened(bench) as file:
        assert set(file["7.1/plot"]) == {"diode", "robx"}
        assert file["7.1"].attrs["default"] == "plot"
    bench.end_with()


def test_links_to_a_stream_without_points_are_left_out(tmp_path):
    bench = MappedBench(tmp_path, {"data.h5": published(PLAIN)})
    bench.prepare()
    bench.points(ROBX)
    bench.seal(DIODE, 0)
    bench.end_with()
    with opened(bench) as file:
        assert "diode" not in file.get("7.1/measurement", {})
        assert "data" not in file.get("7.1/instrument/diode", {})


def test_a_channel_that_is_not_mapped_is_named(tmp_path):
    bench = MappedBench(tmp_path, {"data.h5": published(entry(robx=MOTOR))})
    verdict = written(bench)
    assert verdict.outcome is Outcome.COMPLETE
    assert verdict.warnings == ("not mapped, so not saved: the channels card:diode",)


def test_the_place_of_the_verdict_is_the_writers(tmp_path):
    bench = MappedBench(tmp_path, {"data.h5": published(entry(robx=MOTOR, diode=STREAM, writer=3))})
    assert "the writer keeps its verdict there" in written(bench).summary
    with opened(bench) as file:
        assert file["7.1/writer/status"].asstr()[()] == "FAILED"


def test_a_file_of_links_only_links_and_takes_nobodys_place(tmp_path):
    link = {"type": "external_link", "target_file": "data.h5", "target_path": "/7.1"}
    master = {"type": "group", "children": {"one_7.1": link}}
    with h5py.File(tmp_path / "master.h5", "w") as file:
        file["one_7.1"] = h5py.ExternalLink("elsewhere.h5", "/x")
    bench = MappedBench(tmp_path, {"data.h5": published(PLAIN), "master.h5": published(master)})
    assert written(bench).outcome is Outcome.COMPLETE
    with h5py.File(tmp_path / "master.h5", "r", locking=False) as file:
        assert file.get("one_7.1", getlink=True).filename == "elsewhere.h5"
        assert file.get("one_7.1_2", getlink=True).filename == "data.h5"
