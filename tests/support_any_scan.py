"""Scan documents that nobody published: well-formed ones at random, and ones with junk in them."""

import copy
from typing import Any

from hypothesis import strategies as st

from nexus_writer_service.layout.esrf import EsrfOptions
from nexus_writer_service.layout.esrf.storage import COMPRESSIONS

Json = Any

PARTS = ("a", "b", "diode", "diode_std", "det0", "roi1_det0", "spectrum", "stat", "roi", "image")
"""Few, so that names meet; some of them mean something to devices of a type."""
WORDS = st.sampled_from(PARTS) | st.text("ab_.-é%/", min_size=1, max_size=4)
NAMES = st.lists(WORDS, min_size=1, max_size=3).map(":".join)
TYPES = ("", "samplingcounter", "mca", "mosca", "mythen", "lima", "lima2", "autofilter", "unknown")
DTYPES = ("<f8", "<f4", "<i4", "<u2", "|b1", "<c16", "<i8", "<f2")
SHAPES: tuple[list[int], ...] = ([], [], [3], [-1], [2, 3], [-1, 4], [0], [1, 2, 3])
LEAVES: st.SearchStrategy[Json] = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["ERR", "plotselect", "data", "../x", "/"])
)
JUNK: st.SearchStrategy[Json] = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4) | st.sampled_from(PARTS), inner, max_size=3)
    ),
    max_leaves=4,
)
OPTIONS = st.builds(
    EsrfOptions,
    keepshape=st.booleans(),
    multivalue_positioners=st.booleans(),
    configurable=st.booleans(),
    external_hdf5=st.booleans(),
    external_nonhdf5=st.booleans(),
    copy_non_external=st.booleans(),
    stack_mcas=st.booleans(),
    compression=st.sampled_from(sorted(COMPRESSIONS)),
)


def _stream(draw: st.DrawFn, name: str) -> Json:
    """The announcement of a channel's stream."""
    kind = draw(st.sampled_from(["numbers"] * 6 + ["lima", "scans", "unknown"]))
    shape, dtype = draw(st.sampled_from(SHAPES)), draw(st.sampled_from(DTYPES))
    if kind == "numbers":
        return {"encoding": {"type": "numeric", "dtype_str": dtype, "shape": shape}, "info": {}}
    if kind == "scans":
        return {"encoding": {"type": "json"}, "info": {"plugin": "scan_sequence"}}
    if kind == "unknown":
        return {"encoding": {"type": "morse"}, "info": {}}
    files = {
        "file_format": draw(st.sampled_from(["hdf5", "edf", "cbf", ""])),
        "file_path": f"/data/images/{name.replace('/', '_').replace('%', '')}_%04d.h5",
        "data_path": "/entry/data",
        "frame_per_file": draw(st.integers(0, 3)),
    }
    info = {"plugin": "lima", "dtype": dtype, "shape": [4, 5], "lima_info": files}
    return {"encoding": {"type": "json"}, "info": info}


@st.composite
def documents(draw: st.DrawFn, *, words: bool = True) -> Json:
    """A scan of one or two top masters as BLISS may publish it.

    Args:
        draw: draws.
        words: with what users say in their own words: metadata and names of motors.
    """
    names = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    count = draw(st.integers(1, 4))
    keys = [f"{number}:device" for number in range(count)]
    owner = {name: keys[draw(st.integers(0, count - 1))] for name in names}
    devices = {
        key: {
            "name": key.partition(":")[2],
            "channels": [name for name in names if owner[name] == key],
            "triggered_devices": keys[number + 1 :] if draw(st.booleans()) else [],
            "metadata": draw(st.dictionaries(WORDS, JUNK, max_size=2 * words)),
        }
        for number, key in enumerate(keys)
    }
    split = draw(st.integers(0, count))
    chains = {"axis": keys[:split], "timer": keys[split:]}
    axes = {name: draw(_axis(number)) for number, name in enumerate(names)}
    categories = draw(st.dictionaries(st.sampled_from(_CATEGORIES), _METADATA, max_size=3 * words))
    motors, positions = (WORDS, LEAVES) if words else (st.sampled_from(PARTS), st.floats())
    info = {
        "name": "7_scan",
        "scan_nb": 7,
        "title": draw(st.text(max_size=8)),
        "start_time": "2026-11-20T18:56:21.871404+00:00",
        "end_reason": draw(st.sampled_from(["SUCCESS", "FAILURE", "USER_ABORT"])),
        "save": True,
        "filename": "/data/dataset.h5",
        "images_path": "/data/scan0007/{img_acq_device}_",
        "channels": axes,
        "devices": devices,
        "acquisition_chain": {
            name: {"top_master": found[0], "devices": found}
            for name, found in chains.items()
            if found
        },
        "scan_meta_categories": [*categories, "positioners", "nexuswriter"],
        "positioners": {
            "positioners_start": draw(st.dictionaries(motors, positions, max_size=3)),
            "positioners_end": draw(st.dictionaries(motors, positions, max_size=3)),
            "positioners_units": draw(st.dictionaries(motors, st.just("mm"), max_size=3)),
        },
        "nexuswriter": {
            "devices": {name: draw(_DEVICE_RECORD) for name in names},
            "instrument_info": {"name": "ESRF-id00", "name@short_name": "id00"},
            "technique": draw(_technique(names)),
            "masterfiles": draw(st.sampled_from([{}, {"proposal": "/data/proposal.h5"}])),
        },
        "display_extra": {"plotselect": draw(st.lists(st.sampled_from(names), max_size=3))},
        "writer_options": {"separate_scan_files": draw(st.booleans()), "chunk_options": {}},
        "comments": [{"date": "2026-11-20T18:56:22+00:00", "message": draw(st.text(max_size=5))}],
        "plots": draw(st.lists(_plot(names), max_size=2)),
        **draw(st.sampled_from(_SHAPES)),
        **categories,
    }
    streams = {name: _stream(draw, name) for name in names}
    return {"id": {"name": "scan", "number": 7}, "info": info, "data_streams": streams}


_CATEGORIES = ("instrument", "sample", "technique", "writer", "measurement", "plotselect", "title")
_METADATA = st.dictionaries(WORDS | st.sampled_from(["@NX_class", "a@units"]), JUNK, max_size=3)
_SHAPES: list[dict[str, int]] = [
    {"npoints": 4},
    {"npoints": 0},
    {"npoints": 6, "data_dim": 2, "npoints1": 3, "npoints2": 2},
]
_DEVICE_RECORD = st.fixed_dictionaries(
    {},
    optional={
        "device_type": st.sampled_from(TYPES),
        "data_type": st.sampled_from(["signal", "statistics"]),
        "device_info": st.just({"type": "known", "mode": "MEAN"}),
        "channel": st.integers(-1, 3) | st.lists(st.integers(0, 3), min_size=2, max_size=2),
    },
)


def _plot(names: list[str]) -> st.SearchStrategy[Json]:
    """A plot that a scan describes."""
    name = st.sampled_from(names)
    item = st.fixed_dictionaries(
        {"kind": st.sampled_from(["curve", "scatter"])},
        optional={"x": name, "y": name, "value": name},
    )
    return st.fixed_dictionaries(
        {"kind": st.sampled_from(["curve-plot", "scatter-plot", "grid-plot"])},
        optional={"name": WORDS, "items": st.lists(item, max_size=3)},
    )


def _technique(names: list[str]) -> st.SearchStrategy[Json]:
    """What BLISS 1 says of the technique."""
    name = st.sampled_from(names)
    application = st.fixed_dictionaries(
        {"class": st.sampled_from(["APPxrf", "APPxrf", "APPother"])},
        optional={"I0": name, "It": name, "mca": st.lists(name, max_size=3)},
    )
    plot = st.fixed_dictionaries(
        {},
        optional={
            "personal_name": WORDS,
            "items": st.lists(name, max_size=2),
            "ndim": st.integers(-1, 2),
            "grid": st.booleans(),
        },
    )
    return st.fixed_dictionaries(
        {},
        optional={
            "name": WORDS,
            "applications": st.dictionaries(WORDS, application, max_size=2),
            "plots": st.dictionaries(WORDS, plot, max_size=2),
            "plotselect": WORDS,
        },
    )


def _axis(number: int) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries(
        {},
        optional={
            "dim": st.sampled_from([0, 0, 1, 2]),
            "unit": st.sampled_from(["mm", "s", ""]),
            "axis_id": st.just(number % 2),
            "axis_kind": st.sampled_from(["forth", "backnforth", "step"]),
            "no_saving": st.just(value=True),
        },
    )


@st.composite
def spoilt_documents(draw: st.DrawFn) -> Json:
    """A document in which some values are junk, some are missing, and some are twice."""
    document = copy.deepcopy(draw(documents()))
    for _ in range(draw(st.integers(1, 4))):
        holder, key = draw(st.sampled_from(list(_places(document))))
        match draw(st.sampled_from(["junk", "missing", "extra"])):
            case "junk":
                holder[key] = draw(JUNK)
            case "missing" if isinstance(holder, dict):
                del holder[key]
            case "extra" if isinstance(holder, dict):
                holder[draw(st.text(max_size=3))] = copy.deepcopy(holder[key])
    return document


def _places(value: Json) -> list[tuple[Json, Json]]:
    """Where something stands: its holder and its key there."""
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    else:
        return []
    return [(value, key) for key, _ in items] + [
        place for _, one in items for place in _places(one)
    ]
