"""Ground truth beside the files: what Redis holds of a scan once it is over, and how it ended."""

import json
import os

import numpy
from bliss.common.data_store import get_default_data_store

from session import entries_of, wait_written


def scrub(value, folder):
    """`value` (JSON-like) with every mention of the output folder written as <out>."""
    if isinstance(value, str):
        return value.replace(folder, "<out>")
    if isinstance(value, dict):
        return {scrub(k, folder): scrub(v, folder) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [scrub(v, folder) for v in value]
    return value


def _values(stream):
    """All points of a numeric stream, from Redis and never from the file; a list of arrays if their shapes vary."""
    values = stream.event_stream[:]
    if len(values) != len(stream):
        raise RuntimeError(f"{stream.name}: Redis holds {len(values)} of {len(stream)} points")
    return values


def _top_master(scan_info, channel):
    device = scan_info["channels"][channel]["device"]
    (name,) = (name for name, chain in scan_info["acquisition_chain"].items() if device in chain["devices"])
    return name


def _dump_scan(key, rank, arrays):
    """What Redis holds of a scan, as JSON-like data; the points go to `arrays` by "<rank of the scan>/<stream>[/<point>]"."""
    scan = get_default_data_store().load_scan(key)
    entries = entries_of(scan.info)
    found = {"name": scan.name, "number": scan.number, "save": scan.info.get("save", True), "streams": {}}
    for name, stream in scan.streams.items():
        info = stream.event_stream.info
        entry = {
            "length": len(stream), "sealed": stream.is_sealed(), "plugin": stream.plugin,
            "entry": entries[_top_master(scan.info, name)], "save": info.get("save", True),
            "file_path": info.get("file_path", scan.info["filename"]), "data_path": info.get("data_path"),
        }  # fmt: skip
        if stream.plugin == "lima":
            entry["images"] = info["lima_info"]
        elif stream.plugin == "hdf5_fallback":
            values = _values(stream)
            entry["ragged"] = -1 in stream.shape
            if entry["ragged"]:
                arrays.update({f"{rank}/{name}/{i}": value for i, value in enumerate(values)})
            else:
                arrays[f"{rank}/{name}"] = numpy.asarray(values)
        found["streams"][name] = entry
    return found


def record(out, kind, scans, error):
    """Wait for the writer; write OUT/dump/KIND.json and KIND.npz; returns a line about the kind."""
    verdicts, texts, dumps, arrays = [], [], [], {}
    for rank, scan in enumerate(scans):
        status, waited = wait_written(scan)
        verdicts.append({"state": str(scan.state), "writer": scrub(status, out)})
        texts.append(f"{scan.identifier}:{scan.state}:{status}:{waited}")
        dumps.append(_dump_scan(scan._scan_data.key, rank, arrays))
    found = {"verdicts": verdicts, "error": scrub(error, out), "scans": scrub(dumps, out)}
    os.makedirs(os.path.join(out, "dump"), exist_ok=True)
    with open(os.path.join(out, "dump", f"{kind}.json"), "w") as file:
        json.dump(found, file, indent=1, default=str)
    numpy.savez(os.path.join(out, "dump", f"{kind}.npz"), **arrays)
    return " ".join(texts)
