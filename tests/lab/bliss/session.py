"""BLISS as a library: set a session of the lab up, give its objects by name, wait for the writer."""

import time
import warnings

warnings.simplefilter("ignore")
import bliss  # noqa: E402,F401  (first of all imports: it patches the standard library for gevent)
import bliss.common.axis.state  # noqa: E402,F401  (turns deprecation warnings back on)

warnings.simplefilter("ignore")
import gevent  # noqa: E402
import h5py  # noqa: E402
from bliss import current_session  # noqa: E402
from bliss.config import static  # noqa: E402


class Lab:
    """A BLISS session with its saving settings."""

    def __init__(self, session, writer):
        self.config = static.get_config()
        self._session = self.config.get(session)
        self._session.setup()
        self.saving = current_session.scan_saving
        self.saving.writer = writer
        self.errors = []

    def __getattr__(self, name):
        try:
            return self._session.env_dict[name]
        except KeyError:
            return self.config.get(name)

    def save_to(self, template, filename):
        """Save the next scans to <base_path>/<session>/<template>/<filename>.h5."""
        self.saving.template = "{session}/" + template
        self.saving.data_filename = filename

    def home(self):
        """Move the motors to where every kind starts, so that a kind's file does not depend on what ran before."""
        for axis in (self.robx, self.roby):
            axis.move(0)

    def note(self, text):
        """Note an error as part of the current kind."""
        self.errors.append(text)

    def run(self, scan):
        """Run a scan that may fail; its error is noted, not raised."""
        try:
            scan.run()
        except BaseException as error:
            self.note(f"{scan.identifier}: {error!r}")
        return scan


def entries_of(scan_info):
    """The entry that each top master of a saved scan gets: numbered in the order of the masters' names."""
    tops = sorted(scan_info["acquisition_chain"])
    return {top: f"{scan_info['scan_nb']}.{rank}" for rank, top in enumerate(tops, 1)}


def _statuses(scan_info):
    try:
        with h5py.File(scan_info["filename"], "r", locking=False) as file:
            return [file[f"{entry}/writer/status"].asstr()[()] for entry in entries_of(scan_info).values()]
    except (OSError, KeyError, RuntimeError, ValueError) as error:  # not there yet, or caught in the middle of a change
        return [f"{type(error).__name__}: {error}"]


def wait_written(scan, timeout=30.0):
    """Wait until the entries of a scan say how their writing ended: (what they say, seconds waited).

    What they say is SUCCEEDED, FAILED, or after `timeout` whatever was found last; None for a scan that is not saved.
    """
    if not scan.scan_info.get("save", True):
        return None, 0.0
    start = time.time()
    while True:
        found = sorted(set(_statuses(scan.scan_info)))
        waited = time.time() - start
        if set(found) <= {"SUCCEEDED", "FAILED"} or waited > timeout:
            return " ".join(found), round(waited, 3)
        gevent.sleep(0.02)
