"""Scans that bring maps of their files, fed to a scan writer by hand."""

import json
from dataclasses import replace
from typing import Any

import h5py
import numpy as np
from blissdata.h5map import Group as Model  # type: ignore[attr-defined]  # it does not say so
from tests.support_scan_writer import DIODE, ROBX, Bench

from nexus_writer_service.hdf5.disk import Disk
from nexus_writer_service.layout.choice import MAPPED, plan
from nexus_writer_service.layout.esrf import EsrfOptions
from nexus_writer_service.model.events import Ended
from nexus_writer_service.service.files import FilePool
from nexus_writer_service.service.scan_writer import ScanWriter

Json = Any
STREAM = {"type": "stream", "stream": "card:diode"}


def group(nx_class: str = "", /, **children: Json) -> Json:
    attributes = {"NX_class": nx_class} if nx_class else {}
    return {"type": "group", "attributes": attributes, "children": children}


def entry(**children: Json) -> Json:
    """A root with one NXentry ``7.1``."""
    return {
        "type": "group",
        "attributes": {"NX_class": "NXroot"},
        "children": {"7.1": group("NXentry", **children)},
    }


def with_attributes(value: Json, **attributes: Json) -> Json:
    return {"type": "dataset", "attributes": attributes, "value": value}


def soft(target: str) -> Json:
    return {"type": "soft_link", "target_path": target}


def published(item: Json) -> Json:
    """A map as blissdata's own models publish it, by way of JSON."""
    dumped = Model.model_validate(item).model_dump()
    return json.loads(json.dumps(dumped, default=_plain))


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value.tolist()


class MappedBench(Bench):
    """A scan writer of a line scan that brings maps, by name of the file."""

    def __init__(
        self,
        folder: Any,
        maps: dict[str, Json],
        *detectors: Any,
        roots: tuple[str, ...] = (),
        disk: Disk | None = None,
        **more: Any,
    ) -> None:
        super().__init__(folder, *detectors, disk=disk, **more)
        self.folder = folder
        if roots:
            self.files = FilePool(roots=roots, clock=self.clock)
        self.around = replace(
            self.around, files=self.files, layout=lambda scan: plan(scan, EsrfOptions(), MAPPED)
        )
        self.scan = replace(self.scan, h5maps=self._in_folder(maps))
        self.writer = ScanWriter(self.scan, self.around, wanted=True)

    def _in_folder(self, maps: dict[str, Json]) -> dict[str, Json]:
        return {str(self.folder / name): item for name, item in maps.items()}

    def points(self, *names: Any, values: tuple[float, ...] = (1, 2, 3, 4)) -> None:
        for name in names:
            self.send(name, *values)
            self.seal(name, len(values))

    def end_with(self, maps: dict[str, Json] | None = None) -> None:
        """End it with other maps, and settle."""
        scan = self.scan if maps is None else replace(self.scan, h5maps=self._in_folder(maps))
        self.writer.feed(Ended(self.scan.key, replace(scan, end_reason="SUCCESS")))
        self.settle_until_over()
        self.files.close()


def listed(array: Any) -> Json:
    return np.asarray(array).tolist()


MOTOR = {"type": "stream", "stream": "axis:robx"}
DETECTOR = group("NXdetector", data=with_attributes(STREAM, units="V"))
COLLECTION = group("NXcollection", diode=soft("/7.1/instrument/diode/data"))
INSTRUMENT = group("NXinstrument", diode=DETECTOR, robx=group("NXpositioner", value=MOTOR))
PLAIN = entry(title="a scan", instrument=INSTRUMENT, measurement=COLLECTION)


def opened(bench, name="data.h5"):
    return h5py.File(bench.folder / name, "r", locking=False)


def written(bench, maps=None):
    bench.prepare()
    bench.points(ROBX, DIODE)
    bench.end_with(maps)
    return bench.status.verdict
