"""Is every point that Redis held in the files, and nothing else?

    complete.py OUT [--kinds k05,k18] [--failed FILE]

For each saved stream in OUT/dump: the dataset at the path that BLISS published for it (where its own readers look once Redis
has forgotten the scan) has the stream's length and its values. Three streams have no such path, and are looked for elsewhere:
those of the second top master, which BLISS publishes as if they were of the first (N.2 is looked in, not N.1); images, which
lie in the detector's files (the entry's virtual dataset must give those); the list of a sequence's scans (not stored).
A channel without points has no dataset. Ragged points are padded to the longest. Scans whose entry says FAILED are left out:
compare.py says whether they should.
"""

import argparse
import json
import os
import sys

import h5py
import hdf5plugin  # noqa: F401  (filters beyond HDF5's own)
import numpy


class Incomplete(Exception):
    """What is missing or wrong, in words."""


def dataset_of(stream, name):
    """(open file, dataset) of a stream."""
    file = h5py.File(stream["file_path"], "r", locking=False)
    if stream["plugin"] == "lima":
        path = f"{stream['entry']}/measurement/{name.split(':')[-1]}"
    else:
        path = stream["entry"] + "/" + stream["data_path"].split("/", 1)[1]
    try:
        return file, file[path]
    except KeyError:
        file.close()
        raise Incomplete(f"no dataset {path}, Redis has {stream['length']} points") from None


def equal(a, b):
    return a.dtype == b.dtype and numpy.array_equal(a, b, equal_nan=a.dtype.kind in "fc")


def check_ragged(dataset, points):
    fill = numpy.asarray(dataset.fillvalue, dataset.dtype)
    for index, point in enumerate(points):
        stored = dataset[index]
        inside = tuple(slice(n) for n in point.shape)
        if not equal(stored[inside], point):
            raise Incomplete(f"point {index} differs")
        rest = numpy.ones(stored.shape, bool)
        rest[inside] = False
        if not equal(stored[rest], numpy.full(int(rest.sum()), fill, dataset.dtype)):
            raise Incomplete(f"point {index} is not padded with the fill value")


def check_images(dataset, stream):
    """Frame by frame against the detector's files, as its announcement says where each one lies."""
    images = stream["images"]
    for index in range(stream["length"]):
        number, inside = divmod(index, images["frame_per_file"])
        with h5py.File(images["file_path"] % (number + images["file_offset"]), "r", locking=False) as file:
            if not equal(dataset[index], file[images["data_path"]][inside]):
                raise Incomplete(f"frame {index} differs")


def check_stream(stream, rank, name, arrays):
    """Raises Incomplete; returns the number of values compared."""
    if stream["plugin"] not in ("hdf5_fallback", "lima") or not stream["length"]:
        return 0
    file, dataset = dataset_of(stream, name)
    with file:
        if len(dataset) != stream["length"]:
            raise Incomplete(f"{dataset.name} has {len(dataset)} points, Redis has {stream['length']}")
        key = f"{rank}/{name}"
        if stream["plugin"] == "lima":
            check_images(dataset, stream)
        elif stream["ragged"]:
            check_ragged(dataset, [arrays[f"{key}/{i}"] for i in range(stream["length"])])
        elif not equal(dataset[()], arrays[key]):
            raise Incomplete(f"{dataset.name} has other values than Redis ({dataset.dtype}, {arrays[key].dtype})")
        return dataset.size


def check_kind(out, kind):
    """(messages, streams, values) of one kind."""
    with open(os.path.join(out, "dump", f"{kind}.json")) as file:
        dump = json.loads(file.read().replace("<out>", out))
    problems, streams, values = [], 0, 0
    with numpy.load(os.path.join(out, "dump", f"{kind}.npz")) as arrays:
        for rank, (scan, verdict) in enumerate(zip(dump["scans"], dump["verdicts"], strict=True)):
            if not scan["save"] or verdict["writer"] == "FAILED":
                continue
            for name, stream in scan["streams"].items():
                streams += 1
                try:
                    values += check_stream(stream, rank, name, arrays)
                except (Incomplete, OSError) as error:
                    problems.append(f"{scan['number']} {scan['name']} {name}: {error}")
    return problems, streams, values


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--kinds", default="", help="comma-separated beginnings of kind names (default: all)")
    parser.add_argument("--failed", help="append the names of incomplete kinds to this file")
    options = parser.parse_args()
    out = os.path.abspath(options.out)
    starts = tuple(s for s in options.kinds.split(",") if s) or ("",)
    names = sorted(n.removesuffix(".json") for n in os.listdir(os.path.join(out, "dump")) if n.endswith(".json"))
    kinds = [name for name in names if name.startswith(starts)]
    failed, streams, values = [], 0, 0
    for kind in kinds:
        problems, of_streams, of_values = check_kind(out, kind)
        streams, values = streams + of_streams, values + of_values
        if problems:
            failed.append(kind)
            print(f"{kind}:", *problems, sep="\n  ")
    print(f"{len(kinds)} kinds, {streams} streams, {values} values: {len(failed)} kinds incomplete")
    if options.failed:
        with open(options.failed, "a") as file:
            file.writelines(f"{kind}\n" for kind in failed)
    return 1 if failed or not kinds else 0


if __name__ == "__main__":
    sys.exit(main())
