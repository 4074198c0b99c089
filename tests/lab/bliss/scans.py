"""Runs the lab's kinds of scans with BLISS against whatever writer runs, and dumps the ground truth.

    scans.py --out OUT [--kinds k05,k18] [--writer external|nexus|mapping] [--list]

One HDF5 file per kind: OUT/test_session/KIND/KIND.h5 (by the writer), and beside the files OUT/dump/KIND.json (verdicts,
streams) and OUT/dump/KIND.npz (all points of all streams), as Redis holds them. In dumps the output folder reads <out>.
OUT/questions/KIND.json: what BLISS asked the writer device.
"""

import argparse
import os
import sys
import time
import traceback

from session import Lab  # first: it imports bliss before everything else

from kinds import KINDS
from record import record
from supervision import Questions


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", help="output folder (required but for --list)")
    parser.add_argument("--kinds", default="", help="comma-separated beginnings of kind names (default: all)")
    parser.add_argument("--writer", default="external", help="SCAN_SAVING.writer: external (plain process), nexus or mapping (device)")
    parser.add_argument("--list", action="store_true", help="print the names of the kinds")
    options = parser.parse_args()
    if not options.out and not options.list:
        parser.error("--out is required")
    return options


def run_kind(lab, function, out):
    """Run one kind and record it; prints a line."""
    name = function.__name__
    lab.errors.clear()
    start = time.time()
    scans = []
    try:
        scans = function(lab)
    except BaseException as error:
        traceback.print_exc()
        lab.note(repr(error))
    took = time.time() - start
    error = "; ".join(lab.errors) or None
    states = record(out, name, scans, error)
    print(f"{name:28s} {took:6.2f}s err={error} {states}", flush=True)


def main():
    options = arguments()
    starts = tuple(s for s in options.kinds.split(",") if s) or ("",)
    chosen = {name: function for name, function in KINDS.items() if name.startswith(starts)}
    if options.list:
        print("\n".join(chosen))
        return
    out = os.path.abspath(options.out)
    lab = Lab("test_session", options.writer)
    lab.saving.base_path = out
    questions = Questions()
    questions.install()
    for name, function in chosen.items():
        lab.home()
        lab.save_to(name, name)
        run_kind(lab, function, out)
        if options.writer in ("nexus", "mapping"):
            questions.save(out, name)


if __name__ == "__main__":
    sys.exit(main())
