"""Plugin for pytest: apstools' own tests with our writers in place of its own.

Only names are replaced, before its tests are imported; its tests are run as they are. What they
read is in its repository and not in its package: with ``APSTOOLS_CHECKOUT`` it is taken from there,
else from ``made_runs``. ``APSTOOLS_OWN=1`` leaves its writers in place, which shows that the runs
made here are as its tests expect them.
"""

import gzip
import importlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.peer import made_runs

CHECKOUT = os.environ.get("APSTOOLS_CHECKOUT")
MADE = {
    "hklpy-7ab721bd.json": ("sim4c",),
    "hklpy-26aac337.json": ("sim6c", "simk4c", "simk6c"),
}
"""Diffractometers of the recordings that its tests read."""


def pytest_configure() -> None:
    """Put our classes where its tests take them from."""
    if os.environ.get("APSTOOLS_OWN"):
        return
    ours = importlib.import_module("nexus_writer_service.bluesky")
    for name in ("callbacks", "callbacks.nexus_writer", "callbacks.callback_base"):
        module = importlib.import_module(f"apstools.{name}")
        for member in ("NXWriter", "NXWriterAPS", "FileWriterCallbackBase"):
            if hasattr(module, member):
                setattr(module, member, getattr(ours, member))


@pytest.fixture(scope="session")
def usaxs_cat() -> Any:
    """Ten runs in a catalog of databroker."""
    import databroker  # noqa: PLC0415 - two seconds

    catalog = databroker.temp().v2
    for name, doc in _runs():
        catalog.v1.insert(name, doc)
    # Runs without a stop document are kept in files that are open still.
    for callbacks in catalog.v1._serializer._factory_cbs_by_start.values():
        for callback in callbacks:
            callback.close()
    catalog.force_reload()
    return catalog


def _runs() -> Iterator[tuple[str, dict[str, Any]]]:
    if CHECKOUT is None:
        yield from made_runs.all_runs()
        return
    packed = Path(CHECKOUT, "apstools", "tests", "usaxs.json.gz").read_bytes()
    yield from json.loads(gzip.decompress(packed))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give recordings to the tests that name one which is not there."""
    folder = Path(config.rootpath / ".cache" / "peer")
    for item in items:
        params = getattr(getattr(item, "callspec", None), "params", {})
        missing = params.get("filename")
        if isinstance(missing, Path) and not missing.exists():
            params["filename"] = _recording(missing, folder)


def _recording(missing: Path, folder: Path) -> Path:
    if CHECKOUT is not None:
        return Path(CHECKOUT, "apstools", "callbacks", "tests", missing.name)
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / missing.name
    made.write_text(json.dumps(made_runs.diffractometer_run(*MADE[missing.name])))
    return made
