"""A RunEngine scans a sensor against a motor, and NXWriter makes a NeXus file of it while it runs.

    python examples/bluesky_nxwriter.py [--out FOLDER]

Everything that it needs is started here: two EPICS soft IOCs on ports of their own serve the sensor
(random numbers, ten per second) and the motor (simulated). Install them with the extra
``demo-bluesky``. At a beamline, leave out ``epics_servers`` and name your own records.
"""

import argparse
import os
from pathlib import Path

from nexus_writer_service.bluesky import NXWriter, replay
from nexus_writer_service.hdf5.tree_text import tree_lines
from nexus_writer_service.sources.bluesky.recording import Recorder
from nexus_writer_service.testing.epics import EpicsServers, epics_servers
from nexus_writer_service.testing.plot import plot_default


def scan(servers: EpicsServers, file: Path, recording: Path) -> None:
    """Scan the sensor against the motor: five points into the file.

    Args:
        servers: where the records are.
        file: the NeXus file to make.
        recording: the file to make with the documents of the run, for later.
    """
    # Channel Access reads its environment once, when ophyd is imported.
    os.environ.update(servers.environment)
    from bluesky import RunEngine  # noqa: PLC0415
    from bluesky import plans as bp  # noqa: PLC0415
    from bluesky.callbacks import LiveTable  # noqa: PLC0415
    from ophyd import EpicsMotor, EpicsSignalRO  # noqa: PLC0415

    motor = EpicsMotor(f"{servers.prefix}m1", name="motor")
    sensor = EpicsSignalRO(f"{servers.prefix}sensor", name="sensor")
    motor.wait_for_connection(timeout=30)
    sensor.wait_for_connection(timeout=30)

    nxwriter = NXWriter()
    nxwriter.file_name = str(file)
    nxwriter.warn_on_missing_content = False

    engine = RunEngine({})
    with Recorder(recording) as recorder:
        engine.subscribe(recorder)
        engine.subscribe(nxwriter.receiver)
        engine(bp.scan([sensor], motor, -0.5, 0.5, 5), LiveTable(["motor", "sensor"]))
    # Points were in the file as they came; this waits for the last bit, and tells how it went.
    for result in nxwriter.wait_writer():
        print(result)
    print(f"{file.exists()=}  {file=}")


def export(recording: Path, file: Path) -> None:
    """Make another file of the recorded run, as of a run of databroker or Tiled.

    Args:
        recording: with the documents of the run; ``catalog.v1[1]`` does as well.
        file: the NeXus file to make.
    """
    nxwriter = NXWriter()
    nxwriter.file_name = str(file)
    nxwriter.warn_on_missing_content = False
    replay(recording, nxwriter.receiver)
    print(f"{file.exists()=}  {file=}")


def main() -> None:
    """Scan, look at the file, plot it, export the run again."""
    parser = argparse.ArgumentParser(description="NXWriter with a RunEngine and EPICS.")
    parser.add_argument("--out", type=Path, default=Path("demo-output", "bluesky"))
    folder: Path = parser.parse_args().out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    file, exported = folder / "nxwriter.h5", folder / "export.h5"
    recording = folder / "run.jsonl"
    for old in (file, exported, recording):
        old.unlink(missing_ok=True)

    with epics_servers() as servers:
        scan(servers, file, recording)
        for line in tree_lines(str(file)):
            print(line)
        picture = folder / "nxwriter.png"
        print(f"plot of {plot_default(file, picture)}: {picture}")
        export(recording, exported)
    # Threads of Channel Access do not end by themselves once its servers are gone.
    os._exit(0)


if __name__ == "__main__":
    main()
