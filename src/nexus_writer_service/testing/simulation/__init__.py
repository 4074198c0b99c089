"""A simulated BLISS session: publishes scans through blissdata and remembers what it published.

with SimulatedSession(url, data_root=tmp_path) as session:
    record = session.ascan("robx", 0, 1, 10)
    ...                                       # a writer saves the scan
    record.channels["axis:robx"].values()     # what its dataset has to hold
"""

from nexus_writer_service.testing.simulation import designs, devices, values
from nexus_writer_service.testing.simulation.camera import Camera
from nexus_writer_service.testing.simulation.channels import (
    Chain,
    NumberChannel,
    SimulatedDevice,
    number_channel,
)
from nexus_writer_service.testing.simulation.clock import Clock
from nexus_writer_service.testing.simulation.demo import DEMO_SCANS, run_demo_scans
from nexus_writer_service.testing.simulation.designs import MeshAxis, ScanDesign, Setting
from nexus_writer_service.testing.simulation.faults import Faults
from nexus_writer_service.testing.simulation.options import OpenSequence, ScanOptions
from nexus_writer_service.testing.simulation.records import ChannelRecord, ScanRecord
from nexus_writer_service.testing.simulation.run import SimulatedScan
from nexus_writer_service.testing.simulation.saving import EsrfSaving, PlainSaving, Saving
from nexus_writer_service.testing.simulation.session import SimulatedSession

__all__ = [
    "DEMO_SCANS",
    "Camera",
    "Chain",
    "ChannelRecord",
    "Clock",
    "EsrfSaving",
    "Faults",
    "MeshAxis",
    "NumberChannel",
    "OpenSequence",
    "PlainSaving",
    "Saving",
    "ScanDesign",
    "ScanOptions",
    "ScanRecord",
    "Setting",
    "SimulatedDevice",
    "SimulatedScan",
    "SimulatedSession",
    "designs",
    "devices",
    "number_channel",
    "run_demo_scans",
    "values",
]
