"""The sample of an ESRF dataset, where the definitions of its catalogue put it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support_description import line_scan

from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.layout.esrf import EsrfOptions, plan
from nexus_writer_service.layout.esrf.sample import sample
from nexus_writer_service.testing.conformance import check_file

NOW = datetime(2026, 11, 20, tzinfo=UTC)
SNAPSHOT = {
    "Sample_name": "LaB6",
    "Sample_notes": "old",
    "SampleEnvironment_name": "oven",
    "SampleEnvironmentSensors_value": "1 2",
    "SamplePatient_age": "5",
    "SamplePaleoGeologicalTime_era": "Jurassic",
    "SampleTrackingContainer_id": "c1",
    "SamplePositioners_name": "x y",
    "SamplePositioners_value": "1 2",
    "SampleX_y": 3,
    "Sample": 1,
    "title": "t",
}


def test_each_name_has_the_place_that_the_definitions_give_it() -> None:
    assert sample(SNAPSHOT, {}) == {
        "@NX_class": "NXsample",
        "name": "LaB6",
        "notes": {"@NX_class": "NXnote", "notes": "old"},
        "environment": {
            "@NX_class": "NXenvironment",
            "name": "oven",
            "sensors": {"@NX_class": "NXcollection", "value": "1 2"},
        },
        "patient": {"@NX_class": "NXcollection", "age": "5", "age@units": "year"},
        "paleo": {
            "@NX_class": "NXcollection",
            "geological_time": {"@NX_class": "NXcollection", "era": "Jurassic"},
        },
        "tracking": {
            "@NX_class": "NXcollection",
            "container": {"@NX_class": "NXcollection", "id": "c1"},
        },
        "X_y": 3,
    }


def test_without_metadata_of_a_sample_there_is_none() -> None:
    assert sample({"title": "t"}, {"name": "mine"}) == {}


def test_the_user_s_own_words_count_also_inside_a_group() -> None:
    words = {"name": "mine", "environment": {"name": "cryostat"}, "paleo": 1}
    found = sample(SNAPSHOT, words)
    assert found["name"] == "mine"
    assert found["paleo"] == 1
    assert found["environment"]["name"] == "cryostat"
    assert found["environment"]["sensors"]["value"] == "1 2"


def test_a_value_with_the_name_of_a_group_costs_neither() -> None:
    found = sample({"Sample_environment": "air", "SampleEnvironment_name": "oven"}, {})
    assert found["environment"] == {"@NX_class": "NXenvironment", "name": "oven"}
    assert found["environment_2"] == "air"


@given(st.dictionaries(st.text("SampleEnvironment_PatientNotes", min_size=1), st.integers()))
def test_no_value_is_lost(snapshot: dict[str, int]) -> None:
    named = {f"Sample{key}": value for key, value in snapshot.items() if key.strip("_")}
    assert sorted(_values(sample(named, {}))) == sorted(named.values())


def _values(found: Any) -> list[int]:
    if isinstance(found, dict):
        return [one for value in found.values() for one in _values(value)]
    return [found] if isinstance(found, int) else []


@pytest.mark.parametrize("policy", ["ESRF", "esrf"])
def test_a_sample_with_all_its_groups_conforms(tmp_path: Path, policy: str) -> None:
    scan = line_scan(data_policy=policy, dataset_metadata=SNAPSHOT)
    (started,) = plan(scan, EsrfOptions()).start(NOW).values()
    file = NexusFile.open(str(tmp_path / "scan.h5"))
    file.merge(started)
    file.close()
    with h5py.File(tmp_path / "scan.h5") as written:
        assert written["7.1/sample/patient/age"].attrs["units"] == "year"
    assert check_file(tmp_path / "scan.h5") == []
