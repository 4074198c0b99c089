import pytest
from tests.metadata.bliss_stand_ins import Saving

from nexus_writer_service.metadata.saving import master_files

RAW = "/data/visitor/ma1/id00/20261121/RAW_DATA"


def test_below_the_policy_of_the_esrf_collection_and_proposal_have_a_file():
    assert master_files(Saving()) == {
        "dataset_collection": f"{RAW}/LaB6/ma1_LaB6.h5",
        "proposal": f"{RAW}/ma1_id00.h5",
    }


def test_with_a_file_per_scan_that_of_the_dataset_links_to_it():
    assert master_files(Saving(separate=True))["dataset"] == f"{RAW}/LaB6/LaB6_0001/LaB6_0001.h5"


@pytest.mark.parametrize(
    "saving",
    [Saving(data_policy="None"), Saving(data_policy=None, separate=None), Saving(file=None)],
    ids=["no policy", "an option never set", "a writer that saves nothing"],
)
def test_otherwise_nothing_links_to_a_scan(saving):
    assert master_files(saving) == {}
