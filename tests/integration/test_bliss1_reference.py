"""Files of what BLISS 1.11 published, against those that its own writer made of the same scans.

The lab compares live (``make test-bliss1``); here are its recordings, its listings and its rules.
"""

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.support_bliss1 import Bliss1Redis, recording, scans_of
from tests.support_bliss1_files import bliss1_writer

pytestmark = pytest.mark.integration

LAB = Path(__file__).parents[1] / "lab"
REFERENCE = LAB / "bliss111" / "reference"
KINDS = sorted(path.stem for path in REFERENCE.glob("*.json") if path.stem != "ct")

OF_ANOTHER_RUN = ("@file_name", "/positioners", "@default:")
"""Recordings and listings are of two runs: other folders, motors that stood elsewhere, and in a
recording scans end in any order."""


def _module(name: str) -> ModuleType:
    """A program of the lab."""
    spec = importlib.util.spec_from_file_location(f"lab_{name}", LAB / "bliss" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


compare, list_h5 = _module("compare"), _module("list_h5")


@contextmanager
def _written(url: str, kind: str, folder: Path) -> Iterator[Path]:
    """The folder of the files of a kind."""
    policy = kind == "esrf_policy"
    with bliss1_writer(url, "esrf_session" if policy else "test_session") as writer:
        Bliss1Redis(url).write(recording(kind, folder))
        for node in scans_of(kind):
            writer.verdict(node)
    yield folder / "esrf" if policy else folder / kind / "test_session"


def _listed(top: Path) -> dict[str, Any]:
    """The files below a folder, as the lab lists them."""
    paths = sorted(os.path.join(root, name) for root, _, found in os.walk(top) for name in found)
    names = list_h5.Names(str(top), paths)
    return {
        names.file(os.path.relpath(path, top)): list_h5.list_file(path, names) for path in paths
    }


@pytest.mark.parametrize("kind", KINDS)
def test_what_differs_from_the_reference_is_meant(
    redis_url: str, tmp_path: Path, kind: str
) -> None:
    Bliss1Redis(redis_url).clear()
    with _written(redis_url, kind, tmp_path) as top:
        files = list_h5.json.loads(list_h5.json.dumps(_listed(top), default=str))
    reference = list_h5.json.loads((REFERENCE / f"{kind}.json").read_text())
    made = {"raised": False, "scans": [], "files": files}
    found = compare.of_kind({**reference, "scans": []}, made)
    found = [line for line in found if not any(part in line for part in OF_ANOTHER_RUN)]
    expected = compare.rules(LAB / "bliss111" / "expected.txt")
    unstable = compare.rules(REFERENCE / "unstable.txt")
    others, _, _ = compare.sort_out(kind, found, bool(files), expected, unstable)
    assert others == []
