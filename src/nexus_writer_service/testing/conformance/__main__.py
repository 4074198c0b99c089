"""``python -m nexus_writer_service.testing.conformance FILE...``: what is wrong with the files."""

import argparse
import sys
from collections.abc import Sequence

from nexus_writer_service.testing.conformance.gate import check_file


def main(arguments: Sequence[str] | None = None) -> int:
    """Checks files and writes the findings to standard output.

    Returns:
        0 when there are none, 1 otherwise.
    """
    parser = argparse.ArgumentParser(
        prog="python -m nexus_writer_service.testing.conformance",
        description="Check NeXus files: definitions, links, plots, texts, times, units.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument(
        "--allow-missing-files",
        action="store_true",
        help="files that are referred to, e.g. the detector's, may be away",
    )
    options = parser.parse_args(arguments)
    status = 0
    for file in options.files:
        for finding in check_file(file, allow_missing_files=options.allow_missing_files):
            sys.stdout.write(f"{file}::{finding}\n")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
