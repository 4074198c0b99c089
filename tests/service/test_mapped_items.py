"""Items of maps: every type is written, and what cannot be costs itself."""

import base64
from typing import Any

import h5py
import numpy as np
import pytest
from tests.support_mapped import (
    INSTRUMENT,
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

from nexus_writer_service.model.verdict import Outcome

pytestmark = pytest.mark.nonconforming("maps may say what they like; those of BLISS conform")


def every_item() -> dict[str, Any]:
    values = np.array([[1, 2], [3, 4]], "<u2")
    block = {"start": [0, 1], "stride": [1, 2], "count": [4, 2], "block": [1, 1]}
    return {
        "text": "snow ☃",
        "empty": "",
        "number": 3,
        "real": 0.25,
        "flag": True,
        "list": [[1, 2], [3, 4]],
        "mixed": [True, 2, 2.5],
        "texts": ["a", "bc"],
        "typed": {"type": "inline", "dtype": "float32", "value": ["nan", 1.5]},
        "imaginary": {"type": "inline", "dtype": "complex128", "value": "(1+2j)"},
        "bytes": {
            "type": "inline_b64",
            "dtype": "<u2",
            "shape": [2, 2],
            "value": base64.b64encode(values.tobytes()).decode(),
        },
        "rows": {"type": "compound", "columns": [["name", ["a", "bc"]], ["size", [1, 2]]]},
        "diode": with_attributes(STREAM, units="V", limits=[0, 5]),
        "soft": soft("/7.1/items/number"),
        "outside": {"type": "external_link", "target_file": "other.h5", "target_path": "/x"},
        "raw": {
            "type": "external_binary_dataset",
            "dtype": "<i4",
            "shape": [3],
            "files": [{"name": "PLACE/raw.bin", "offset": 4, "size": None}],
        },
        "virtual": {
            "type": "virtual_dataset",
            "attributes": {"units": "V"},
            "dtype": "<f8",
            "shape": [4, 4],
            "virtual_sources": [
                {
                    "vspace": block,
                    "src_file": "other.h5",
                    "src_dataset": "/x",
                    "src_space": {"start": [0, 0], "count": [4, 2]},
                }
            ],
        },
    }


def test_every_type_of_item_is_written(tmp_path):
    (tmp_path / "raw.bin").write_bytes(np.arange(9, 13, dtype="<i4").tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = np.arange(8.0).reshape(4, 2)
    items = every_item()
    items["raw"]["files"][0]["name"] = str(tmp_path / "raw.bin")
    found = published(entry(items=group("NXcollection", **items)))
    bench = MappedBench(tmp_path, {"data.h5": found})
    assert written(bench).outcome is Outcome.COMPLETE
    with opened(bench) as file:
        there = file["7.1/items"]
        assert set(there) == set(items)
        assert there["text"].asstr()[()] == "snow ☃"
        assert there["empty"].asstr()[()] == ""
        assert (there["number"].dtype, there["number"][()]) == (np.int64, 3)
        assert (there["real"][()], bool(there["flag"][()])) == (0.25, True)
        assert there["list"][()].tolist() == [[1, 2], [3, 4]]
        assert there["mixed"][()].tolist() == [1.0, 2.0, 2.5]
        assert there["texts"].asstr()[()].tolist() == ["a", "bc"]
        np.testing.assert_array_equal(there["typed"][()], np.array([np.nan, 1.5], "f4"))
        assert there["imaginary"][()] == 1 + 2j
        assert (there["bytes"].dtype, there["bytes"][()].tolist()) == ("<u2", [[1, 2], [3, 4]])
        assert there["rows"]["name"].tolist() == [b"a", b"bc"]
        assert there["rows"]["size"].tolist() == [1, 2]
        assert there["diode"].attrs["limits"].tolist() == [0, 5]
        assert there["soft"][()] == 3
        assert there["outside"][()].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
        assert there["raw"][()].tolist() == [10, 11, 12]
        assert there["virtual"].attrs["units"] == "V"
        expected = np.full((4, 4), np.nan)
        expected[:, 1::2] = np.arange(8.0).reshape(4, 2)
        np.testing.assert_array_equal(there["virtual"][()], expected)


def with_virtual_dataset(folder):
    """A scan that also shows its diode as a virtual dataset, which names its own file."""
    whole = {"start": [0], "count": [4]}
    source = {
        "vspace": whole,
        "src_file": str(folder / "data.h5"),
        "src_dataset": "/7.1/instrument/diode/data",
        "src_space": whole,
    }
    shown = {"type": "virtual_dataset", "dtype": "<f8", "shape": [4], "virtual_sources": [source]}
    return MappedBench(folder, {"data.h5": published(entry(instrument=INSTRUMENT, shown=shown))})


def test_a_virtual_dataset_shows_the_points_of_a_stream_of_its_own_file(tmp_path):
    bench = with_virtual_dataset(tmp_path)
    bench.prepare()
    bench.send(DIODE, 1, 2)
    bench.settle()
    with opened(bench) as file:
        np.testing.assert_array_equal(file["7.1/shown"][()], [1, 2, np.nan, np.nan])
        # Also when it is moved.
        assert [one.file_name for one in file["7.1/shown"].virtual_sources()] == ["."]
    bench.send(DIODE, 3, 4, start=2)
    bench.seal(DIODE, 4)
    bench.points(ROBX)
    bench.end_with()
    with opened(bench) as file:
        assert file["7.1/shown"][()].tolist() == [1, 2, 3, 4]


def test_a_virtual_dataset_waits_for_the_stream_of_its_own_file(tmp_path):
    bench = with_virtual_dataset(tmp_path)
    bench.prepare()
    bench.points(ROBX)
    bench.settle()
    with opened(bench) as file:
        assert "shown" not in file["7.1"]
    bench.end_with()


BAD = {
    "null": None,
    "unknown type": {"type": "surprise"},
    "ragged": [[1], [1, 2]],
    "no stream name": {"type": "stream", "stream": ""},
    "stream nobody has": {"type": "stream", "stream": "card:ghost"},
    "stream as attribute": with_attributes(1, bad=STREAM),
    "too large": 1 << 80,
    "no base64": {"type": "inline_b64", "dtype": "<f8", "value": "!"},
    "no type": {"type": "inline", "dtype": "object", "value": 1},
    "unequal columns": {"type": "compound", "columns": [["a", [1]], ["b", [1, 2]]]},
    "link to nothing": {"type": "soft_link"},
    "no sources": {"type": "virtual_dataset", "dtype": "<f8", "shape": [2]},
    "beyond the shape": {
        "type": "virtual_dataset",
        "dtype": "<f8",
        "shape": [2],
        "virtual_sources": [
            {
                "vspace": {"start": [1], "count": [2]},
                "src_file": "x.h5",
                "src_dataset": "/x",
                "src_space": {"start": [0], "count": [2]},
            }
        ],
    },
    "negative": {"type": "virtual_dataset", "dtype": "<f8", "shape": [-2], "virtual_sources": [1]},
    "no files": {"type": "external_binary_dataset", "dtype": "<f8", "shape": [2], "files": []},
    "children of no group": {"type": "group", "children": [1]},
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_written_costs_itself_and_is_told_with_its_path(tmp_path, what):
    found = published(PLAIN)
    found["children"]["7.1"]["children"]["bad"] = BAD[what]
    bench = MappedBench(tmp_path, {"data.h5": found})
    verdict = written(bench)
    assert verdict.outcome is Outcome.INCOMPLETE
    (reason,) = verdict.reasons
    assert "/7.1/bad" in reason
    with opened(bench) as file:
        assert file["7.1/measurement/diode"][()].tolist() == [1, 2, 3, 4]


def test_names_that_hdf5_cannot_have_cost_themselves(tmp_path):
    found = published(PLAIN)
    for name in ("", ".", "..", "a/b", "a\0b"):
        found["children"]["7.1"]["children"][name] = 1
    bench = MappedBench(tmp_path, {"data.h5": found})
    assert len(written(bench).reasons) == 5
