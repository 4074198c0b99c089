"""Runs with the names, numbers and shapes that apstools' tests ask for.

The package apstools brings its tests but not their data (which are in its repository only), so they
are made here: ten runs of a tuning kind, and the configuration of diffractometers.
"""

import itertools
import math
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Document = tuple[str, dict[str, Any]]

SAMPLES: dict[str, Any] = {
    "aps_current": 102.1,
    "aps_fill_number": 3,
    "aps_aps_cycle": "2026-3",
    "undulator_downstream_device": "ID",
    "undulator_downstream_location": "9ID",
    "undulator_downstream_energy": 21.1,
    "undulator_downstream_energy_taper": 0.0,
    "undulator_downstream_gap": 17.3,
    "undulator_downstream_gap_taper": 0.0,
    "undulator_downstream_harmonic_value": 1.0,
    "undulator_downstream_total_power": 0.4,
    "undulator_downstream_version": "2.1",
}
"""What the baseline stream holds."""


@dataclass(frozen=True)
class Made:
    """What the tests know of a run."""

    uid: str
    scan_id: int
    plan_name: str
    points: int
    baseline: int = 2


RUNS = (
    Made("99fe9e07-6a44-4834-856f-e48432fb01e5", 2, "tune_mr", 31),
    Made("555a6047-acd9-46a8-85b0-234986ae1323", 2, "Flyscan", 1),
    Made("7a3f2c10-1d5e-4c7f-9d0e-000000000101", 101, "tune_a2rp", 11),
    Made("0c1d2e3f-1d5e-4c7f-9d0e-000000000102", 102, "tune_dx", 11),
    Made("35540030-1d5e-4c7f-9d0e-000000000103", 103, "tune_ar", 35),
    Made("4b5a6978-1d5e-4c7f-9d0e-000000000104", 104, "tune_dy", 11),
    Made("5f6e7d8c-1d5e-4c7f-9d0e-000000000105", 105, "tune_gx", 11),
    Made("6a7b8c9d-1d5e-4c7f-9d0e-000000000107", 107, "Flyscan", 1),
    Made("2ffe4d80-1d5e-4c7f-9d0e-000000000108", 108, "tune_mr", 31),
    Made("19965989-0a2a-44aa-aa06-c1248754e651", 110, "Flyscan", 1),
)


def all_runs() -> Iterator[Document]:
    """The documents of all runs, one run after the other."""
    for number, made in enumerate(RUNS):
        yield from run(made, 1_700_000_000.0 + 600 * number)


def run(made: Made, time: float) -> Iterator[Document]:
    """The documents of one run, beginning at a time (seconds of the epoch)."""
    numbers = itertools.count(1)

    def uid() -> str:
        return str(uuid.uuid5(uuid.UUID(made.uid), str(next(numbers))))

    scalars: dict[str, Any] = {"detector": 1.0, "stage": 0.5, "stage_user_setpoint": 0.5}
    baseline, primary = uid(), uid()
    yield (
        "start",
        {
            "uid": made.uid,
            "time": time,
            "scan_id": made.scan_id,
            "plan_name": made.plan_name,
            "plan_type": "generator",
            "detectors": ["detector"],
            "motors": ["stage"],
            "versions": {"bluesky": "1.15.1"},
            "hints": {"dimensions": [[["stage"], "primary"]]},
        },
    )
    yield "descriptor", _descriptor(baseline, made.uid, time + 1, "baseline", SAMPLES)
    yield "descriptor", _descriptor(primary, made.uid, time + 2, "primary", scalars)
    half = made.baseline // 2
    for number in range(1, half + 1):
        yield "event", _event(uid(), baseline, time + 1 + number, number, SAMPLES)
    for number in range(1, made.points + 1):
        position = (number - 1) / max(made.points - 1, 1) - 0.5
        values = {"detector": 1e4 * math.exp(-8 * position**2), "stage": position}
        values["stage_user_setpoint"] = position
        yield "event", _event(uid(), primary, time + 3 + number, number, values)
    for number in range(half + 1, made.baseline + 1):
        yield "event", _event(uid(), baseline, time + 500 + number, number, SAMPLES)
    yield (
        "stop",
        {
            "uid": uid(),
            "time": time + 510,
            "run_start": made.uid,
            "exit_status": "success",
            "reason": "",
            "num_events": {"baseline": made.baseline, "primary": made.points},
        },
    )


def _descriptor(
    uid: str, run_uid: str, time: float, name: str, values: dict[str, Any]
) -> dict[str, Any]:
    return {
        "uid": uid,
        "run_start": run_uid,
        "time": time,
        "name": name,
        "data_keys": {key: _data_key(key, value) for key, value in values.items()},
        "object_keys": {"detector": ["detector"], "stage": ["stage", "stage_user_setpoint"]}
        if name == "primary"
        else {key: [key] for key in values},
        "hints": {"detector": {"fields": ["detector"]}, "stage": {"fields": ["stage"]}}
        if name == "primary"
        else {},
        "configuration": {},
    }


def _data_key(key: str, value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"source": f"PV:{key}", "dtype": "string", "shape": []}
    limits = {"lower_ctrl_limit": 0.0, "upper_ctrl_limit": 0.0, "precision": 3, "units": ""}
    return {"source": f"PV:{key}", "dtype": "number", "shape": [], **limits}


def _event(
    uid: str, descriptor: str, time: float, number: int, data: dict[str, Any]
) -> dict[str, Any]:
    return {
        "uid": uid,
        "descriptor": descriptor,
        "time": time,
        "seq_num": number,
        "data": dict(data),
        "timestamps": dict.fromkeys(data, time),
        "filled": {},
    }


def diffractometer_run(*names: str) -> list[Document]:
    """Six documents of a run, with the orientation of diffractometers as hklpy describes it."""
    time, run_uid, descriptor = 1_700_000_000.0, str(uuid.UUID(int=7)), str(uuid.UUID(int=8))
    configuration = {name: _orientation(name, time) for name in names}
    described = _descriptor(descriptor, run_uid, time, "primary", {"detector": 1.0})
    events = [
        ("event", _event(str(uuid.UUID(int=n)), descriptor, time + n, n, {"detector": 1.0 * n}))
        for n in (1, 2, 3)
    ]
    start = {"uid": run_uid, "time": time, "scan_id": 1, "plan_name": "count"}
    stop = {"uid": str(uuid.UUID(int=9)), "time": time + 9, "run_start": run_uid}
    return [
        ("start", {**start, "detectors": ["detector"], "motors": list(names)}),
        ("descriptor", {**described, "configuration": configuration}),
        *events,
        ("stop", {**stop, "exit_status": "success", "reason": ""}),
    ]


def _orientation(name: str, time: float) -> dict[str, Any]:
    lattice: dict[str, Any] = {
        "geometry_name": "E4CV",
        "class_name": "SimulatedE4CV",
        "sample_name": "silicon",
        "lattice": [5.431, 5.431, 5.431, 90.0, 90.0, 90.0],
        "U": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        "UB": [[1.157, 0.0, 0.0], [0.0, 1.157, 0.0], [0.0, 0.0, 1.157]],
        "energy": 8.0,
        "energy_units": "keV",
    }
    lattice["orientation_attrs"] = [*lattice, "orientation_attrs"]
    data = {f"{name}_{key}": value for key, value in lattice.items()}
    return {
        "data": data,
        "timestamps": dict.fromkeys(data, time),
        "data_keys": {key: {"source": f"PY:{name}", "dtype": "array", "shape": []} for key in data},
    }
