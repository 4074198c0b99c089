"""The example for users, on what BLISS 1.11 wrote."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.support_bliss1 import Bliss1Redis, published, recording, scans_of
from tests.support_waiting import wait_for

from nexus_writer_service.testing.redis_server import RedisServer

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).parents[2] / "examples" / "external_saving_bliss1.py"


@pytest.fixture
def listening(redis_url: str, tmp_path: Path) -> Iterator[Path]:
    """The folder of an example that listens."""
    with (tmp_path / "output").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, EXAMPLE, "test_session", tmp_path],
            env={"REDIS_DATA_URL": redis_url, "PYTHONPATH": ":".join(sys.path)},
            stdout=output,
            stderr=output,
        )
        try:
            yield tmp_path
        finally:
            process.kill()
            process.wait()


def test_the_example_saves_each_scan_in_a_file_of_its_own(
    redis_url: str, redis_server: RedisServer, listening: Path
) -> None:
    bliss1 = Bliss1Redis(redis_url)
    bliss1.clear()
    client = bliss1.client
    wait_for(
        lambda: [one for one in client.client_list() if one["name"] == "nexus_writer"],
        what=f"the example listens to {redis_server}",
    )
    wait_for(
        lambda: [one for one in client.client_list() if one["cmd"] == "xread"], what="it reads"
    )
    bliss1.write(recording("sequence"))
    output = listening / "output"
    wait_for(lambda: output.read_text().count("saved") == 2, what="two scans saved")
    for node in scans_of("sequence")[1:]:
        with h5py.File(listening / f"{node.replace(':', '-')}.h5", "r") as file:
            for name, values in published("sequence", node).items():
                np.testing.assert_array_equal(
                    file["scan/measurement"][name.replace(":", "_")], values
                )
            assert "positioners" in file["scan/instrument"]
