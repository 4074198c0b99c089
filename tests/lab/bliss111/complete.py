"""Is every point that BLISS had in the files?

    complete.py OUT [--failed FILE]

For each channel of each saved scan in OUT/dump: some dataset of its entry holds exactly its values.
"""

import argparse
import json
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  (filters beyond HDF5's own)
import numpy


def datasets(entry):
    found = []
    entry.visititems(lambda _, node: found.append(node) if isinstance(node, h5py.Dataset) else None)
    return [one for one in found if one.dtype.kind in "biuf"]


def missing(scan):
    """Channels of a scan whose values are nowhere, in words."""
    number, path = scan["number"], scan["filename"]
    with h5py.File(path, "r", locking=False) as file:
        known = [one[()] for one in datasets(file[f"{number}.1"])]
    for name, values in scan["data"].items():
        if values and not any(numpy.array_equal(one, values, equal_nan=True) for one in known):
            yield f"{scan['node']}: {len(values)} points of {name} are not in {path}::/{number}.1"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--failed", type=Path, help="append the names of incomplete kinds to this file")
    options = parser.parse_args()
    failed, points = [], 0
    for path in sorted((options.out / "dump").glob("*.json")):
        scans = [one for one in json.loads(path.read_text())["scans"] if one["save"]]
        points += sum(len(values) for scan in scans for values in scan["data"].values())
        if lines := [line for scan in scans for line in missing(scan)]:
            failed.append(path.stem)
            print(f"{path.stem}:", *lines, sep="\n  ")
    print(f"{points} points, {len(failed)} kinds with points missing")
    if options.failed:
        with options.failed.open("a") as file:
            file.writelines(f"{kind}\n" for kind in failed)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
