"""How growing datasets are laid out, beyond what test_stream.py sees in the file."""

import h5py
import pytest
from tests.support_hdf5 import stream

from nexus_writer_service.hdf5.storage import Recipes


@pytest.fixture
def group(tmp_path):
    with h5py.File(tmp_path / "detector.h5", "w") as file:
        yield file.create_group("g").id


@pytest.mark.parametrize(
    ("node", "nbytes"),
    [
        (stream(chunks=(512,)), 4096),
        (stream("u4", (1024,), chunks=(128, 256)), 4 * 128 * 256 * 4),
        (stream("u1", (-1,), chunks=(100, 100)), 8 * 100 * 100),
        (stream("u1", scan=(10, 10), chunks=(5, 5)), 2 * 25),
        (stream("u1", (1 << 20, 1 << 10), chunks=(1, 1 << 10, 1 << 10)), 32 << 20),
        (stream("u1", chunks=(64 << 20,)), 64 << 20),
    ],
)
def test_a_dataset_caches_the_chunks_of_its_next_point_and_no_more(group, node, nbytes):
    dataset = Recipes().create(group, node)
    slots, found, _ = dataset.get_access_plist().get_chunk_cache()
    assert found == nbytes
    assert slots < 5_000
    h5py.h5o.link(dataset, group, b"d")
    del dataset
    again = Recipes().open(group, "d", node)
    assert again.get_access_plist().get_chunk_cache()[1] == nbytes


def test_alike_datasets_share_their_description_and_nothing_else(group):
    recipes = Recipes()
    first, second = (recipes.create(group, stream(fill=1.0)) for _ in range(2))
    other = recipes.create(group, stream(fill=2.0))
    first.set_extent((3,))
    assert second.shape == (0,)
    for dataset, fill in ((first, 1), (second, 1), (other, 2)):
        assert h5py.Dataset(dataset).fillvalue == fill
