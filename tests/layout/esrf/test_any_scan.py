"""Whatever is announced: the layout does not fail, and no channel gets lost without a word."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support_any_scan import JUNK, OPTIONS, documents, spoilt_documents
from tests.support_description import at

from nexus_writer_service.errors import LayoutError
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.layout.esrf import EsrfOptions, EsrfPlan, plan
from nexus_writer_service.layout.esrf.datasets import is_text
from nexus_writer_service.model.description import (
    ChannelName,
    Content,
    ScanDescription,
    ScanKey,
)
from nexus_writer_service.model.events import ScanReference
from nexus_writer_service.model.tree import Group, ImageStack, SoftLink, StreamDataset, merged
from nexus_writer_service.model.verdict import judge
from nexus_writer_service.sources.bliss.scan_info import describe
from nexus_writer_service.testing.conformance import check_file

NOW = datetime(2026, 11, 20, 19, tzinfo=UTC)
KEY = ScanKey("esrf:scan:01")
REFERENCE = ScanReference(ScanKey("esrf:scan:02"), 8, "/data/other.h5")


def trees(made: EsrfPlan, scan: ScanDescription, lengths: Mapping[ChannelName, int]) -> list[Any]:
    """What is written at all moments, as trees by file."""
    found = [made.start(NOW), made.links(NOW)]
    found += [made.first_points([name]) for name in lengths]
    found += [made.plots(lengths, final=final) for final in (False, True)]
    found += [
        made.references(name, (REFERENCE,))
        for name, channel in scan.channels.items()
        if channel.content is Content.SCANS
    ]
    return [*found, made.finish(scan, NOW), made.verdict(judge(()))]


def check_no_channel_is_lost(
    document: Any, scan: ScanDescription, made: EsrfPlan, told: str
) -> None:
    """Each channel has a place, or a person is told, or it is one that has nothing to be saved."""
    streams = document.get("data_streams") if isinstance(document, Mapping) else None
    for name in streams if isinstance(streams, Mapping) else ():
        channel = scan.channels.get(name)
        if name in made.places or name in scan.unusable or repr(name) in told or name in told:
            continue
        assert channel is not None, f"{name} is lost"
        unsaved = channel.content is Content.IMAGES and channel.images is None
        assert unsaved or channel.content is Content.SCANS, f"{name} is lost"


def check_places(made: EsrfPlan, scan: ScanDescription, options: EsrfOptions) -> None:
    """No two channels have one place; each is written there, and is found in measurement."""
    places = list(made.places.values())
    assert len(set(places)) == len(places)
    everything = merged(*(made.first_points([name])[made.file] for name in made.places))
    targets = set()
    for entry in made.entries:
        measurement = (
            at(everything, f"{entry}/measurement")
            if entry in everything.children and _has(everything, f"{entry}/measurement")
            else Group()
        )
        assert isinstance(measurement, Group)
        targets |= {n.target for n in measurement.children.values() if isinstance(n, SoftLink)}
    for name, place in made.places.items():
        node = at(everything, place.path.strip("/"))
        assert isinstance(node, StreamDataset | ImageStack)
        assert node.channel == name
        is_there = place.path in targets or "/measurement/" in place.path
        assert is_there or is_text(scan.channels[name], options)


def _has(group: Group, path: str) -> bool:
    head, _, rest = path.partition("/")
    child = group.children.get(head)
    return child is not None and (not rest or (isinstance(child, Group) and _has(child, rest)))


@given(documents(), OPTIONS, st.data())
@settings(max_examples=50)
def test_any_scan_is_laid_out_and_no_channel_is_lost(
    document: Any, options: EsrfOptions, data: st.DataObject
) -> None:
    scan, warnings = describe(KEY, document)
    made = plan(scan, options)
    told = "\n".join((*warnings, *made.warnings))
    check_no_channel_is_lost(document, scan, made, told)
    check_places(made, scan, options)
    lengths = {name: data.draw(st.integers(1, 8)) for name in made.places}
    for found in trees(made, scan, lengths):
        assert all(isinstance(tree, Group) for tree in found.values())


@given(spoilt_documents(), OPTIONS)
@settings(max_examples=80)
def test_a_spoilt_scan_costs_what_is_spoilt(document: Any, options: EsrfOptions) -> None:
    json.dumps(document)  # what comes out of Redis is JSON
    scan, warnings = describe(KEY, document)
    if not (scan.path or "").startswith("/"):
        with pytest.raises(LayoutError, match="file path"):
            plan(scan, options)
        return
    made = plan(scan, options)
    told = "\n".join((*warnings, *made.warnings))
    if scan.save:
        check_no_channel_is_lost(document, scan, made, told)
    check_places(made, scan, options)
    assert trees(made, scan, dict.fromkeys(made.places, 3))


@given(JUNK)
def test_junk_instead_of_a_scan_is_no_error(document: Any) -> None:
    scan, _ = describe(KEY, document)
    with pytest.raises(LayoutError, match="cannot be saved"):
        plan(scan, EsrfOptions())


@given(documents(words=False), OPTIONS)
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_scan_can_be_written_and_conforms(
    tmp_path: Path, document: Any, options: EsrfOptions
) -> None:
    """The trees are merged without a problem, into a file that passes the gate."""
    scan, _ = describe(KEY, document)
    made = plan(scan, options)
    path = tmp_path / "scan.h5"
    path.unlink(missing_ok=True)
    file = NexusFile.open(str(path))
    file.merge(Group(attributes=made.root(NOW, file.versions)))
    problems = [
        problem
        for found in trees(made, scan, {})
        for name, tree in found.items()
        if name == made.file
        for problem in file.merge(tree)
    ]
    for name in made.places:
        (tree,) = made.first_points([name]).values()
        problems += file.merge(tree)
    file.close()
    assert problems == []
    with h5py.File(path) as written:
        assert set(made.entries) <= set(written)
    assert check_file(path, allow_missing_files=True) == []
    path.unlink()
