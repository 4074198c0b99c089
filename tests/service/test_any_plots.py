"""Whatever plots are asked for of whatever channels: the file is valid NeXus while and after."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.support_conformance import findings_below
from tests.support_description import channel, line_scan, mesh
from tests.support_scan_writer import Bench

from nexus_writer_service.layout.esrf import EsrfOptions
from nexus_writer_service.model.description import (
    Channel,
    ChannelName,
    PlotRequest,
    Shape,
    Technique,
)
from nexus_writer_service.model.events import Points
from nexus_writer_service.model.verdict import Outcome

SHAPES: dict[str, Shape] = {
    "ctl:a": (),
    "ctl:b": (),
    "ctl:spectrum": (4,),
    "ctl:positions": (4,),
    "ctl:image": (2, 3),
    "ctl:ragged": (-1,),
}
NAMES = st.sampled_from([*SHAPES, "axis:robx", "axis:roby", "robx", "nobody"])
REQUESTS = st.lists(
    st.builds(
        PlotRequest,
        name=st.sampled_from(["plotselect", "curve", "map", "title", ""]),
        signals=st.lists(NAMES, max_size=3).map(tuple),
        axes=st.lists(NAMES, max_size=2).map(tuple),
        ndim=st.sampled_from([None, 0, 1, 2]),
        grid=st.booleans(),
    ),
    max_size=3,
).map(tuple)
SCANS = st.fixed_dictionaries(
    {
        "plotted": st.lists(NAMES, max_size=2).map(tuple),
        "plots": REQUESTS,
        "technique": st.builds(Technique, plots=REQUESTS),
    }
)
LENGTHS = st.fixed_dictionaries(
    {name: st.sampled_from([6, 6, 6, 5, 3, 0, 8]) for name in (*SHAPES, "axis:robx", "axis:roby")}
)


def points(one: Channel, count: int) -> tuple[np.ndarray[Any, Any], ...]:
    """Ragged points come one by one, each longer than the one before."""
    if -1 not in one.shape:
        return (np.ones((count, *one.shape), one.dtype),)
    return tuple(np.ones((1, number + 1), one.dtype) for number in range(count))


@settings(max_examples=15, phases=[Phase.explicit, Phase.generate])  # shrinking takes minutes
@given(
    SCANS,
    LENGTHS,
    st.sampled_from(["line", "forth", "backnforth"]),
    st.booleans(),
    st.integers(0, 6),
)
def test_any_plots_of_any_channels_conform(
    about: dict[str, Any], lengths: dict[str, int], kind: str, kept: bool, begun: int
) -> None:
    detectors = [channel(name, shape=shape) for name, shape in SHAPES.items()]
    scan = (
        line_scan(*detectors, motors=("axis:robx", "axis:roby"), shape=(6,))
        if kind == "line"
        else mesh(*detectors, kind=kind)
    )
    parts = {name: getattr(scan, name) for name in ("channels", "devices", "subscans", "shape")}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options=EsrfOptions(keepshape=kept), **parts, **about)
        bench.prepare()
        for place, (name, count) in enumerate(lengths.items()):
            if count:
                batches = points(bench.scan.channels[name], count)
                bench.writer.feed(Points(bench.scan.key, ChannelName(name), 0, batches))
            bench.seal(name, count)
            if place == begun:
                bench.settle()
                assert findings_below(Path(folder)) == []
        bench.settle()
        assert findings_below(Path(folder)) == []
        bench.end()
        bench.settle_until_over()
        bench.disk.stop()
        assert bench.status.verdict.outcome is Outcome.COMPLETE, bench.status.verdict.summary
        assert findings_below(Path(folder)) == []
