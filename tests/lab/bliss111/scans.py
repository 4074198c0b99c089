"""Scans of one kind, run by a BLISS 1.11 session without hardware.

usage: scans.py OUT WRITER KIND...      all of one session: "esrf_policy" is of another one

Files go to OUT/test_session/KIND (those of the ESRF data policy where the session is told to), and
OUT/dump/KIND.json says how the scans ended and what points BLISS has of them.
"""

import json
import os
import sys
import traceback
import warnings

warnings.simplefilter("ignore")
import bliss  # noqa: E402, F401 - patches the interpreter, so it is imported first
import gevent  # noqa: E402
import numpy  # noqa: E402
from bliss import current_session  # noqa: E402
from bliss.common import scans  # noqa: E402
from bliss.config import static  # noqa: E402
from bliss.scanning.chain import ChainPreset  # noqa: E402
from bliss.scanning.group import Sequence  # noqa: E402

warnings.simplefilter("ignore")

POLICY = "esrf_policy"


class Broken(ChainPreset):
    """Fails at the start."""

    def start(self, _chain):
        raise RuntimeError("bad preset")


def device(name):
    """A device of the configuration."""
    return static.get_config().get(name)


def ct():
    return [scans.ct(0.05, device("diode1"), device("diode2"))]


def loopscan():
    return [scans.loopscan(5, 0.05, device("diode1"), device("diode2"))]


def ascan():
    return [scans.ascan(device("robx"), 0, 1, 4, 0.05, device("diode1"), device("diode2"))]


def mca():
    return [scans.loopscan(3, 0.05, device("mca1"))]


def amesh():
    axes = device("robx"), 0, 1, 2, device("roby"), 0, 1, 2
    return [scans.amesh(*axes, 0.02, device("diode1"))]


def sequence():
    group = Sequence()
    with group.sequence_context() as context:
        context.add_and_run(scans.loopscan(2, 0.02, device("diode1"), run=False))
        context.add_and_run(scans.ascan(device("robx"), 0, 1, 2, 0.02, device("diode1"), run=False))
    return [group.scan]


def aborted():
    """Ctrl-C while it runs."""
    scan = scans.loopscan(50, 0.05, device("diode1"), run=False)
    running = gevent.spawn(scan.run)
    with gevent.Timeout(60):
        while not (scan.node and len(scan.get_data().get("timer:elapsed_time", ())) > 3):
            gevent.sleep(0.1)
    running.kill(KeyboardInterrupt)
    return [scan]


def failed():
    scan = scans.loopscan(3, 0.05, device("diode1"), run=False)
    scan.acq_chain.add_preset(Broken())
    try:
        scan.run()
    except RuntimeError as error:
        print("failed as it was to:", error, flush=True)
    return [scan]


def parallel():
    """Two scans at a time."""
    both = [scans.loopscan(8, 0.05, device(name), run=False) for name in ("diode1", "diode2")]
    gevent.joinall([gevent.spawn(scan.run) for scan in both], raise_error=True)
    return both


def statistics():
    """A counter with statistics of its samples, and one that keeps them."""
    return [scans.loopscan(4, 0.1, device("diode_stats"), device("diode_samples"))]


def esrf_policy():
    saving = current_session.scan_saving
    saving.proposal_name, saving.collection_name = "hg123", "sample1"
    saving.dataset_name = "ds1"
    done = loopscan()
    saving.dataset_name = "ds2"
    return done + [scans.loopscan(2, 0.02, device("diode1"))]


KINDS = (
    ct, loopscan, ascan, mca, amesh, sequence, aborted, failed, parallel, statistics, esrf_policy,
)


def told(scan):
    """What BLISS knows of a scan that is over."""
    info = scan.node.info.get_all()
    return {
        "node": scan.node.db_name,
        "number": info["scan_nb"],
        "save": info["save"],
        "filename": info["filename"],
        "state": scan.state.name,
        "data": {name: numpy.asarray(values).tolist()
                 for name, values in scan.get_data().items() if name != "scans"},
    }


def run(kind, out, writer):
    """Run a kind; how its scans ended."""
    saving = current_session.scan_saving
    saving.writer = writer
    if kind != POLICY:
        saving.base_path, saving.template, saving.data_filename = out, "{session}/" + kind, kind
    for name in ("robx", "roby"):
        device(name).move(0)
    return [told(scan) for scan in {one.__name__: one for one in KINDS}[kind]()]


def main():
    """Run the kinds that are asked for."""
    out, writer, *kinds = sys.argv[1:]
    os.makedirs(os.path.join(out, "dump"), exist_ok=True)
    session = device("esrf_session" if POLICY in kinds else "test_session")
    session.setup()
    for kind in kinds:
        try:
            scans = run(kind, out, writer)
        except Exception:
            print(kind, "did not run:", file=sys.stderr)
            traceback.print_exc()
            continue
        verdicts = [{"state": one["state"]} for one in scans]
        with open(os.path.join(out, "dump", f"{kind}.json"), "w") as file:
            json.dump({"error": "", "verdicts": verdicts, "scans": scans}, file)
        print(kind, *(one["node"] for one in scans), flush=True)
    session.close()


main()
