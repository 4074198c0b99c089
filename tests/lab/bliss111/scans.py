"""Scans of one kind, run by a BLISS 1.11 session without hardware.

usage: scans.py KIND WRITER BASE_PATH

Prints one line per scan: its node's name, its state as BLISS sees it, the points of its channels.
"""

import json
import sys
import warnings

warnings.simplefilter("ignore")
import bliss  # noqa: E402, F401 - patches the interpreter, so it is imported first
import gevent  # noqa: E402
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
    gevent.sleep(0.6)
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


def main():
    """Run the kind that is asked for."""
    kind, writer, base_path = sys.argv[1:4]
    session = device("esrf_session" if kind == POLICY else "test_session")
    session.setup()
    saving = current_session.scan_saving
    saving.writer = writer
    if kind != POLICY:
        saving.base_path, saving.template, saving.data_filename = base_path, "{session}", kind
    try:
        for scan in {one.__name__: one for one in KINDS}[kind]():
            points = {name: len(data) for name, data in scan.get_data().items()}
            print(
                "SCAN " + json.dumps({"node": scan.node.db_name, "state": scan.state.name,
                                      "points": points}), flush=True
            )
    finally:
        session.close()


main()
