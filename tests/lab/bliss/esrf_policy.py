"""Scans in several datasets and collections under the ESRF data policy: dataset files and the master files above them.

    esrf_policy.py --out OUT [--writer external|nexus]

Needs a writer of esrf_session. Files go below DIR/out/esrf_policy (config/sessions/esrf_session.yml), dumps to OUT/dump.
"""

import argparse
import os

from session import Lab  # first: it imports bliss before everything else

from bliss.common.scans import ascan, loopscan

from scans import run_kind


def esrf_policy(lab):
    lab.saving.newproposal("blc00001")
    lab.saving.newcollection("sampleA")
    lab.saving.newdataset("first")
    scans = [loopscan(3, 0.01, lab.diode1)]
    lab.saving.newdataset("second")
    scans.append(ascan(lab.robx, 0, 1, 3, 0.01, lab.diode1))
    scans.append(loopscan(2, 0.01, lab.diode2))
    lab.saving.newcollection("sampleB")
    scans.append(loopscan(2, 0.01, lab.diode2))
    return scans


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--writer", default="external")
    options = parser.parse_args()
    run_kind(Lab("esrf_session", options.writer), esrf_policy, os.path.abspath(options.out))


if __name__ == "__main__":
    main()
