"""What the package asks for is what its users have."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


def required() -> dict[str, Requirement]:
    """What the writer needs of a BLISS environment, by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = project["dependencies"] + project["optional-dependencies"]["bliss"]
    return {one.name: one for one in map(Requirement, texts)}


def versions_of_bliss() -> dict[str, str]:
    """The versions that BLISS 2.2 was installed with in the lab."""
    lines = (ROOT / "tests" / "lab" / "bliss" / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if "==" in line)
    return {name.strip(): version.strip() for name, version in pairs}


@pytest.mark.parametrize(
    "name", ["numpy", "h5py", "hdf5plugin", "redis", "hiredis", "msgpack", "blissdata"]
)
def test_the_lower_bounds_are_those_of_a_bliss_environment(name: str) -> None:
    assert required()[name].specifier.contains(versions_of_bliss()[name])
