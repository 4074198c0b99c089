"""A process that writes a run until it is killed, or its input ends: ``killed.py FOLDER``."""

import itertools
import sys

from tests.support_bluesky import Run

from nexus_writer_service.bluesky import NXWriter


def main(folder: str) -> None:
    writer = NXWriter()
    writer.file_name = f"{folder}/run.h5"
    run = Run()
    descriptor = run.descriptor(["det", "motor"])
    writer.receiver(*run.start())
    writer.receiver(*descriptor)
    for number in itertools.count():
        writer.receiver(*run.event(descriptor, det=float(number), motor=float(-number)))
        if number and number % 1000 == 0:
            print(number, flush=True)
            if not sys.stdin.readline():  # the test says when to go on
                return  # and when to end


main(sys.argv[1])
