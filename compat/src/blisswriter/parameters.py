"""How the writer in the process of BLISS saves, unless told otherwise."""

from typing import Any


def default_saveoptions(configurable: bool = False) -> dict[str, Any]:
    """Options of ``ScanWriterWithState``, and ``resource_profiling``, which BLISS takes out."""
    return {"resource_profiling": "OFF", "configurable": configurable, "flat": True}
