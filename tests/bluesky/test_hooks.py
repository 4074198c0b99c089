"""Subclasses change what is in a file, as they do with the writer whose methods these are."""

import logging

import h5py
import pytest
from tests.support_bluesky import Run, feed, scan, values

from nexus_writer_service.bluesky import NXWriter, NXWriterAPS
from nexus_writer_service.model.verdict import Outcome


def written(writer, folder, documents=None):
    """The result of one run."""
    writer.file_path = folder
    feed(writer, documents or scan(Run()))
    (result,) = writer.wait_writer()
    return result


def test_the_methods_are_called_in_the_known_order_with_the_known_arguments(tmp_path):
    calls = []

    class Told(NXWriter):
        pass

    def noting(name):
        def method(self, *arguments):
            calls.append((name, tuple(getattr(one, "name", one) for one in arguments)))
            return getattr(NXWriter, name)(self, *arguments)

        return method

    names = [
        "write_root",
        "write_entry",
        "write_instrument",
        "write_metadata",
        "write_streams",
        "assign_signal_type",
        "write_slits",
        "write_detector",
        "write_monochromator",
        "write_positioner",
        "write_source",
        "write_data",
        "write_sample",
        "write_user",
        "write_templates",
    ]
    for name in names:
        setattr(Told, name, noting(name))
    result = written(Told(), tmp_path)
    assert result.ok
    entry, instrument = ("/entry",), ("/entry/instrument",)
    bluesky = ("/entry/instrument/bluesky",)
    assert calls == [
        ("write_root", (str(result.file),)),
        ("write_entry", ()),
        ("write_instrument", entry),
        ("write_metadata", bluesky),
        ("write_streams", bluesky),
        ("assign_signal_type", ()),
        ("write_slits", instrument),
        ("write_detector", instrument),
        ("write_monochromator", instrument),
        ("write_positioner", instrument),
        ("write_source", instrument),
        ("write_data", entry),
        ("write_sample", entry),
        ("write_user", entry),
        ("write_templates", ()),
    ]


def test_a_subclass_as_they_are_found_works_unchanged(tmp_path):
    class Beamline(NXWriter):
        instrument_name = "beamline 9"

        def write_entry(self):
            nxentry = super().write_entry()
            nxentry.create_dataset("experiment_identifier", data="proposal 12")
            return nxentry

        def write_instrument(self, parent):
            nxinstrument = super().write_instrument(parent)
            nxinstrument.create_dataset("name", data="SAXS")
            return nxinstrument

        def write_source(self, parent):
            nxsource = self.create_NX_group(parent, "source:NXsource")
            nxsource.create_dataset("name", data="another ring")
            return nxsource

        def write_sample(self, parent):
            nxsample = self.create_NX_group(parent, "sample:NXsample")
            nxsample.create_dataset("name", data=self.metadata["sample"])
            nxsample["temperature"] = self.get_stream_link("temperature")
            ds = nxsample["temperature"]
            self.add_dataset_attributes(
                ds, self.acquisitions[self.streams["baseline"][0]]["data"]["temperature"]
            )
            return nxsample

        def get_sample_title(self):
            return f"sample {self.metadata['sample']}"

    run = Run(sample="LaB6")
    baseline = run.descriptor({"temperature": {"units": "K"}}, "baseline")
    _, *rest = scan(run)
    documents = [run.start(), baseline, run.event(baseline, temperature=4.2), *rest]
    result = written(Beamline(), tmp_path, documents)
    assert result.ok
    with h5py.File(result.file) as file:
        entry = file["entry"]
        assert file.attrs["instrument"] == "beamline 9"
        assert file.attrs["creator"] == "Beamline"
        assert entry["title"].asstr()[()] == "sample LaB6"
        assert entry["experiment_identifier"].asstr()[()] == "proposal 12"
        assert entry["instrument/name"].asstr()[()] == "SAXS"
        assert list(entry["instrument/source"]) == ["name"]
        assert entry["sample"].attrs["NX_class"] == "NXsample"
        assert entry["sample/temperature"][()] == 4.2
        assert entry["sample/temperature"].attrs["units"] == "K"
        assert values(file, "det").tolist() == [0, 1, 4, 9, 16]


def test_a_method_that_fails_costs_no_data_and_is_told(tmp_path):
    class Failing(NXWriter):
        def write_sample(self, parent):
            raise RuntimeError("no sample today")

    writer = Failing()
    result = written(writer, tmp_path)
    assert isinstance(result.error, RuntimeError)
    assert result.verdict.outcome is Outcome.INCOMPLETE
    assert "RuntimeError: no sample today" in result.verdict.summary
    assert writer.root is None
    with h5py.File(result.file) as file:
        assert values(file, "det").tolist() == [0, 1, 4, 9, 16]
        assert "no sample today" in file["entry/writer/description"].asstr()[()]
    assert not written(writer, tmp_path, scan(Run(2))).ok  # and the next run is written as well


def test_methods_see_the_values_that_were_measured(tmp_path):
    seen = {}

    class Seeing(NXWriter):
        def write_stream_internal(self, parent, d, subgroup, stream_name, k, v):
            seen[stream_name, k] = (list(d), len(v["time"]), v["dtype"], list(subgroup))
            super().write_stream_internal(parent, d, subgroup, stream_name, k, v)

    result = written(Seeing(), tmp_path, scan(Run(), points=2))
    assert result.ok
    assert seen["primary", "det"] == ([0, 1], 2, "number", [])
    with h5py.File(result.file) as file:
        assert values(file, "det").tolist() == [0, 1]


def test_a_method_may_write_the_values_itself(tmp_path):
    class Own(NXWriter):
        def write_stream_internal(self, parent, d, subgroup, stream_name, k, v):
            subgroup.create_dataset("value", data=[2 * one for one in d])

    result = written(Own(), tmp_path, scan(Run(), points=3))
    with h5py.File(result.file) as file:
        assert values(file, "det").tolist() == [0, 2, 8]
        assert len(values(file, "det", item="EPOCH")) == 3  # what it does not write, stays


def test_attributes_tell_of_the_run_whose_file_is_written(tmp_path):
    told = {}

    class Telling(NXWriter):
        def write_user(self, parent):
            told[self.uid] = self.scan_id, self.exit_status
            return super().write_user(parent)

    writer = Telling()
    writer.file_path = tmp_path
    one, two = Run(1), Run(2)
    feed(writer, [*scan(one)[:-1], *scan(two)[:-1]])
    feed(writer, [one.stop(exit_status="abort"), two.stop()])
    writer.wait_writer()
    assert told == {one.uid: (1, "abort"), two.uid: (2, "success")}


def test_groups_need_a_class_of_nexus(tmp_path):
    class Wrong(NXWriter):
        def write_user(self, parent):
            self.create_NX_group(parent, "contact:User")

    result = written(Wrong(), tmp_path)
    assert "NeXus class must start with NX" in result.verdict.summary


def test_a_link_to_a_signal_that_is_not_there_is_a_key_error(tmp_path):
    class Linking(NXWriter):
        def write_user(self, parent):
            with pytest.raises(KeyError, match="nothing"):
                self.get_stream_link("nothing")
            assert self.get_stream_link("det", stream="primary", ref="value").shape == (5,)
            assert self.h5string(["a", ""]) == [b"a", b""]
            assert self.resolve_class_path("/entry/extra:NXcollection/x") == "/entry/extra/x"

    result = written(Linking(), tmp_path)
    assert result.ok
    with h5py.File(result.file) as file:
        assert file["entry/extra"].attrs["NX_class"] == "NXcollection"


def test_handlers_of_a_subclass_see_every_document(tmp_path):
    seen = []

    class Watching(NXWriter):
        def event(self, doc):
            seen.append(doc["data"]["motor"])
            super().event(doc)

    assert written(Watching(), tmp_path).ok
    assert seen == [0, 1, 2, 3, 4]


def test_a_handler_that_fails_does_not_reach_the_plan(tmp_path, caplog):
    class Failing(NXWriter):
        def event(self, doc):
            raise RuntimeError("not this one")

    with caplog.at_level(logging.CRITICAL):
        assert written(Failing(), tmp_path).ok


def test_a_name_that_cannot_be_made_fails_its_run_only(tmp_path):
    class Nameless(NXWriter):
        def make_file_name(self):
            return tmp_path / self.metadata["name"]

    writer = Nameless()
    result = written(writer, tmp_path)
    assert result.verdict.outcome is Outcome.FAILED
    assert isinstance(result.error, KeyError)
    assert written(writer, tmp_path, scan(Run(2, name="good.h5"))).file == tmp_path / "good.h5"


def test_the_advanced_photon_source_is_told_from_the_baseline(tmp_path):
    run = Run()
    baseline = run.descriptor(["aps_current", "aps_fill_number"], "baseline")
    _, *rest = scan(run)
    start_of_run = [
        run.start(),
        baseline,
        run.event(baseline, aps_current=102.5, aps_fill_number=3),
    ]
    result = written(NXWriterAPS(), tmp_path, [*start_of_run, *rest])
    assert result.ok
    with h5py.File(result.file) as file:
        source = file["entry/instrument/source"]
        assert source["name"].asstr()[()] == "Advanced Photon Source"
        assert source["current"][()] == 102.5
        assert "undulator" not in file["entry/instrument"]
