"""BLISS scans while the server of its writer is killed, stopped, away and back; the files are complete nevertheless.

    restarts.py --out OUT [--writer nexus|mapping] [--kinds r1] [--kills 5] [--failed FILE]

The server starts again by itself (--respawn in WRITER_CMD), as it does under the Tango Starter. Dumps as those of scans.py, in OUT/dump.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import time

from session import Lab  # first: it imports bliss before everything else

import gevent
import tango
from bliss.common.scans import loopscan

from scans import run_kind
from supervision import Questions

DEVICE = f"id00/{os.environ.get('DEVICE_FAMILY', 'bliss_nxwriter')}/test_session"
HERE = os.path.dirname(os.path.abspath(__file__))
DOWN = re.compile(rf"Nexus writer API_(CantConnectToDevice|DeviceNotExported): .*{DEVICE}")


def server_pid():
    """Process of the server, as it told the Tango database."""
    return tango.Database().get_device_info(DEVICE).pid


class Killing:
    """Kills the server right after the first answers that BLISS gets during the scan, and notes when it is back."""

    def __init__(self, questions, mapping):
        self._questions = questions
        self._begun = not mapping  # the state is asked for before the scan, too; warnings are not
        self.pid = None
        self.away = None

    def __enter__(self):
        self._questions.on_answer = self._kill
        return self

    def __exit__(self, *_):
        self._questions.on_answer = lambda question: None

    def _kill(self, question):
        self._begun = self._begun or question["call"] == "GetWarningCount"
        if question["call"] == "scan_state" and self._begun and self.pid is None:
            self.pid = server_pid()
            os.kill(self.pid, signal.SIGKILL)
            gevent.spawn(self._time, time.monotonic())

    def _time(self, killed):
        while server_pid() == self.pid:
            gevent.sleep(0.02)
        self.away = time.monotonic() - killed


def scan_under_kill(lab, questions):
    """A scan of 7 s: BLISS asks after 3 s, the server is killed, BLISS asks again after 6 s."""
    with Killing(questions, lab.saving.writer == "mapping") as killing:
        scan = loopscan(140, 0.05, lab.diode1, lab.diode_samples, lab.mca1)
    if killing.away is None:
        lab.note("the server was not killed, or did not come back")
    else:
        print(f"  process {killing.pid} killed, the device was back after {killing.away:.2f} s", flush=True)
    return scan


def server(command):
    script = {"stop": ["down.sh", "writer"], "start": ["up.sh"]}[command]
    subprocess.run([os.path.join(HERE, script[0]), *script[1:]], check=True)


def r1_killed_in_scans(lab, questions, kills):
    return [scan_under_kill(lab, questions) for _ in range(kills)]


def r2_stopped_between_scans(lab, questions, kills):
    """What BLISS tells its user while there is no server, and that scans go on once it is back."""
    scans = [loopscan(3, 0.01, lab.diode1)]
    server("stop")
    start = time.monotonic()
    try:
        loopscan(3, 0.01, lab.diode1)
    except RuntimeError as error:
        print(f"  without a server, after {time.monotonic() - start:.2f} s: {error}", flush=True)
        if not DOWN.search(str(error)):
            lab.note(f"the error does not say that there is no server: {error}")
    else:
        lab.note("BLISS scans without a server")
    server("start")
    return [*scans, loopscan(3, 0.01, lab.diode1)]


KINDS = {function.__name__: function for function in (r1_killed_in_scans, r2_stopped_between_scans)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--writer", default="nexus", choices=("nexus", "mapping"), help="SCAN_SAVING.writer")
    parser.add_argument("--kinds", default="", help="comma-separated beginnings of kind names (default: all)")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--failed", help="append the names of kinds with failed scans to this file")
    options = parser.parse_args()
    out = os.path.abspath(options.out)
    starts = tuple(s for s in options.kinds.split(",") if s) or ("",)
    lab = Lab("test_session", options.writer)
    lab.saving.base_path = out
    questions = Questions()
    questions.install()
    failed = []
    for name, function in KINDS.items():
        if name.startswith(starts):
            lab.save_to(name, name)

            def run(lab, function=function):
                return function(lab, questions, options.kills)

            run.__name__ = name
            run_kind(lab, run, out)
            questions.save(out, name)
            failed += [name] if lab.errors else []
    if options.failed:
        with open(options.failed, "a") as file:
            file.writelines(f"{name}\n" for name in failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
