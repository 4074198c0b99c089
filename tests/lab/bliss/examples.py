"""The examples with a real session: the demanding scans, saved by our writer and, from outside, by the small writer.

    examples.py --out OUT      exit status 1 if anything is missing

The scans run twice: with BLISS as a library, and as in the BLISS shell (exec) while external_saving_example.py listens. Each point that
Redis holds has to be in the file of the small writer, and our writer has to call each scan a success.
"""

import argparse
import os
import re
import subprocess
import sys

from session import Lab, wait_written  # first: it imports bliss before everything else

import h5py
import numpy
from bliss.common.data_store import get_default_data_store

TOP = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))
EXAMPLES = os.path.join(TOP, "examples")
SCANS = 17


def listener(folder):
    """The small writer, once it listens."""
    command = [sys.executable, "-W", "ignore", os.path.join(EXAMPLES, "external_saving_example.py")]
    program = subprocess.Popen([*command, "test_session", "--out", folder, "--scans", str(SCANS)], stdout=subprocess.PIPE, text=True)
    for line in program.stdout:
        if line.startswith("listening"):
            return program
    raise RuntimeError(f"the listener ended with {program.wait()}")


def as_in_the_shell(lab):
    """The scans, by the line that the documentation shows."""
    names = lab._session.env_dict
    path = os.path.join(EXAMPLES, "some_scans.py")
    exec(open(path).read(), names)  # noqa: S102 - the very line
    return names["done_scans"]


def differences(scan, folder):
    """Channels of a scan that the small writer did not save as Redis has them."""
    published = get_default_data_store().load_scan(scan._scan_data.key)
    path = os.path.join(folder, f"test_session_{published.number}_{published.name}.h5")
    with h5py.File(path, "r", locking=False) as file:
        measurement = file[f"{published.number}.1/measurement"]
        for name, stream in published.streams.items():
            if stream.plugin == "scan_sequence":
                same = len(measurement["SUBSCANS"]) == len(stream)
            else:
                points, found = stream.event_stream[:], measurement[re.sub(r"\W", "_", name)][()]
                same = len(points) == len(found) and all(
                    numpy.array_equal(row[tuple(map(slice, numpy.shape(point)))] if numpy.shape(point) else row, point)
                    for row, point in zip(found, points, strict=True)
                )
            if not same:
                yield f"{path}: {name}"


def verdict(scan, expected):
    """What our writer says of a scan, if it is not what is expected."""
    found, _ = wait_written(scan)
    return [] if found in expected else [f"{scan.identifier}: {found}"]


def check(lab, out):
    folder = os.path.join(out, "external")
    program = listener(folder)
    scans = as_in_the_shell(lab)
    said = program.communicate(timeout=60)[0]
    wrong = [] if program.returncode == 0 and len(scans) == SCANS else [f"{len(scans)} scans, the listener said {said}"]
    for scan in scans:
        wrong += [*differences(scan, folder), *verdict(scan, ("SUCCEEDED", None))]
    return wrong


def check_library(out):
    """The other way to run the scans."""
    command = [sys.executable, "-W", "ignore", os.path.join(EXAMPLES, "some_scans_bliss_as_library.py"), "--writer", "external"]
    done = subprocess.run([*command, "--out", os.path.join(out, "library")], capture_output=True, text=True, timeout=120)
    kinds = re.findall(r"^(\w+): \d+_|^(\w+): _", done.stdout, re.M)
    return [] if done.returncode == 0 and len(kinds) == 10 else [f"as a library: {done.returncode}, {kinds}\n{done.stderr[-2000:]}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    out = os.path.abspath(parser.parse_args().out)
    # Before there is a session here: BLISS asks it what is initialized, and while it waits for a program it may not answer.
    wrong = check_library(out)
    lab = Lab("test_session", "external")
    lab.saving.base_path = out
    lab.save_to("examples", "examples")
    wrong += check(lab, out)
    print("\n".join([*wrong, f"examples: {SCANS} scans twice, {len(wrong)} wrong"]), flush=True)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
