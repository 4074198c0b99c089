"""A writer that is killed at random instants: its successors lose nothing and finish all."""

import pytest
from tests.support_service_kills import (
    FEW_KINDS,
    Campaign,
    differences_to_undisturbed,
    finish,
    kill_again_and_again,
)
from tests.support_session import check_values, opened

pytestmark = pytest.mark.integration


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("kills", "options"),
    [(6, ("--keepshape",)), (4, ("--durability=power",))],
    ids=["grid", "power"],
)
def test_scans_end_as_if_the_writer_had_never_been_killed(
    redis_url, session, tmp_path, kills, options
):
    folder = tmp_path / "state"
    folder.mkdir()
    history = f"--history={folder / 'history.sqlite'}"
    with Campaign(session) as campaign:
        replayed = kill_again_and_again(
            redis_url, campaign, folder, kills=kills, seed=1, options=(history, *options)
        )
    finish(redis_url, campaign.records, folder, *options)
    for record in campaign.records:
        if options != ("--keepshape",):
            check_values(record)
    assert len(campaign.records) >= 5
    assert replayed >= 1
    assert differences_to_undisturbed(redis_url, campaign.records, folder, *options) == []


def test_mapped_scans_end_in_all_files_as_if_the_writer_had_never_been_killed(
    redis_url, session, tmp_path
):
    session.style, session.h5maps, session.data_writer = "2.4", True, "mapping"
    session.second_map = "second.h5"
    folder = tmp_path / "state"
    folder.mkdir()
    options = ("--data_writer=mapping", "--layout=mapped")
    history = f"--history={folder / 'history.sqlite'}"
    with Campaign(session, FEW_KINDS) as campaign:
        replayed = kill_again_and_again(
            redis_url, campaign, folder, kills=3, seed=2, options=(history, *options)
        )
    finish(redis_url, campaign.records, folder, *options)
    for record in campaign.records:
        check_values(record)
        with opened(record, "second.h5") as file:
            assert file[f"{record.number}.1/writer/status"].asstr()[()] == "SUCCEEDED"
    assert replayed >= 1
    assert differences_to_undisturbed(redis_url, campaign.records, folder, *options) == []
