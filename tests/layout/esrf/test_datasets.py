"""The node of a channel under the save options."""

from typing import Any

import pytest
from tests.support_description import at, channel, line_scan

from nexus_writer_service.layout.esrf import EsrfOptions, plan
from nexus_writer_service.layout.esrf.storage import COMPRESSIONS
from nexus_writer_service.model.description import ChannelName, StorageOptions
from nexus_writer_service.model.tree import StreamDataset

LARGE = ChannelName("ctl:large")


def dataset(bliss: str, **options: Any) -> StreamDataset:
    scan = line_scan(channel(LARGE, "u2", (1024, 1024)), storage=StorageOptions(compression=bliss))
    (tree,) = plan(scan, EsrfOptions(**options)).first_points([LARGE]).values()
    node = at(tree, "7.1/instrument/large/data")
    assert isinstance(node, StreamDataset)
    return node


@pytest.mark.parametrize("scheme", COMPRESSIONS)
def test_what_bliss_chose_counts_before_what_the_writer_was_told(scheme: str) -> None:
    assert dataset("", compression=scheme).filters == COMPRESSIONS[scheme]
    assert dataset(scheme).filters == COMPRESSIONS[scheme]
    assert dataset("gzip", compression=scheme).filters == COMPRESSIONS["gzip"]
