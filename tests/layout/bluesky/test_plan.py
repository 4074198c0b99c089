"""What a plan says of the end of a run."""

from datetime import UTC, datetime
from typing import Any

from tests.support_bluesky import Run

from nexus_writer_service.layout.bluesky import BlueskyOptions, plan
from nexus_writer_service.model.description import ChannelName
from nexus_writer_service.model.events import Ended
from nexus_writer_service.model.tree import Group, at, merged
from nexus_writer_service.sources.bluesky.documents import Translator

NOW = datetime(2026, 11, 21, tzinfo=UTC)
BLUESKY = ("entry", "instrument", "bluesky")


def told(path):
    """A run: as of its start, with its streams, and over."""
    run = Run()
    translator = Translator()
    begun = translator.begin(run.start()[1], path)[0]
    descriptor = run.descriptor(["det"])
    known = translator.feed([descriptor, run.event(descriptor, det=1.0)])
    over = next(one for one in translator.feed([run.stop()]) if isinstance(one, Ended))
    described = [one.scan for one in known if hasattr(one, "scan")][-1]
    return begun.scan, described, over.scan  # type: ignore[union-attr]


def below(tree, *names) -> Any:
    for name in names:
        tree = tree.children[name]
    return tree


def test_the_end_of_a_run_is_what_its_stop_document_says(tmp_path):
    path = str(tmp_path / "run.h5")
    _, described, over = told(path)
    tree = plan(described, BlueskyOptions()).finish(over, NOW)[path]
    assert set(below(tree, "entry").children) == {"instrument", "end_time", "duration"}
    assert set(below(tree, *BLUESKY).children) == {"run_stop"}


def test_what_was_not_known_before_comes_with_the_end(tmp_path):
    path = str(tmp_path / "run.h5")
    begun, _, over = told(path)
    tree = plan(begun, BlueskyOptions()).finish(over, NOW)[path]
    assert {"run_stop", "streams"} <= set(below(tree, *BLUESKY).children)
    assert "data" in below(tree, "entry").children


def test_a_data_key_is_made_once_with_its_first_value(tmp_path):
    path = str(tmp_path / "run.h5")
    begun, described, _ = told(path)
    made = plan(described, BlueskyOptions(), plan(begun, BlueskyOptions()).tree)
    assert below(made.start(NOW)[path], *BLUESKY, "streams", "primary").children == {}
    tree = made.first_points([ChannelName("primary/det")])[path]
    det = below(tree, *BLUESKY, "streams", "primary", "det")
    assert set(det.children) == {"value", "EPOCH", "time"}
    assert {"NX_class": "NXdata", "signal": "value"}.items() <= det.attributes.items()


def test_what_changes_of_a_data_key_that_is_there_is_told(tmp_path):
    path = str(tmp_path / "run.h5")
    _, described, _ = told(path)
    whole = plan(described, BlueskyOptions())
    changed = plan(described, BlueskyOptions(), whole.tree)
    vars(changed)["tree"] = merged(
        whole.tree, at(f"{'/'.join(BLUESKY)}/streams/primary/det", Group({}, {"axes": ["x"]}))
    )
    streams = below(changed.start(NOW)[path], *BLUESKY, "streams")
    assert below(streams, "primary", "det").attributes["axes"] == ["x"]
