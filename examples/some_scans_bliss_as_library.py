"""The scans of some_scans.py with BLISS as a library instead of its shell.

    BEACON_HOST=localhost TANGO_HOST=localhost:20000 \
        python examples/some_scans_bliss_as_library.py [SESSION] [--writer NAME]

The session (test_session) is set up as the shell does it. --writer selects who saves its scans, as
SCAN_SAVING.writer does: nexus, external, hdf5, null.
"""

# Before all else: it makes the standard library cooperate with gevent.
import bliss  # noqa: F401, I001

import argparse
import runpy
from pathlib import Path

from bliss import current_session
from bliss.config import static


def main() -> None:
    """Set the session up, and run the scans."""
    parser = argparse.ArgumentParser(description="Demanding scans, with BLISS as a library.")
    parser.add_argument("session", nargs="?", default="test_session")
    parser.add_argument("--writer", help="who saves the scans (default: as the session has it)")
    parser.add_argument("--out", help="base path of the files (default: as the session has it)")
    options = parser.parse_args()
    static.get_config().get(options.session).setup()
    if options.writer:
        current_session.scan_saving.writer = options.writer
    if options.out:
        current_session.scan_saving.base_path = options.out
    runpy.run_path(str(Path(__file__).with_name("some_scans.py")))


if __name__ == "__main__":
    main()
