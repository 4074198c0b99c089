"""The rows of the table, and which ratios are to be met."""

import math
from dataclasses import replace
from functools import partial

from bench.catch_up import bare_read
from bench.idle import idle
from bench.measure import drain, live
from bench.row import Check, Job, Row, Scale, Subjects, cheaper, drains, of_reference, within
from bench.samples import Samples, greatest
from bench.short_scans import short_scans
from bench.soak import soak
from bench.workloads import Workload
from bench.writers import FLOOR, OURS, POWER, REFERENCE, floor


def all_rows(subjects: Subjects, scale: Scale) -> list[Row]:
    """The rows, in the order of the table."""
    scalars_and_spectra = [*_scalar_rows(subjects, scale), _spectra_row(subjects, scale)]
    if scale.tiny:
        # A minute is too short for the floor everywhere.
        subjects = {name: one for name, one in subjects.items() if name != FLOOR}
    return [
        *scalars_and_spectra,
        _short_row(subjects, scale),
        _wide_row(subjects, scale),
        _parallel_row(subjects, scale),
        _latency_row(subjects, scale),
        _catch_up_row(subjects, scale),
        _memory_row(subjects, scale),
        _idle_row(subjects, scale),
    ]


# ------------------------------------------------------------------------- one scan that is over


def _scalar_rows(subjects: Subjects, scale: Scale) -> list[Row]:
    workloads = (
        (Workload(name="0d_b1", channels=50, points=scale.points(10_000, 300)), 8.0),
        (Workload(name="0d_b100", channels=50, points=scale.points(200_000, 2_000), block=100), 6),
        (
            Workload(
                name="0d_b1000", channels=50, points=scale.points(1_000_000, 3_000), block=1000
            ),
            6.0,
        ),
    )
    return [
        Row(
            workload.name,
            workload.title,
            drains(subjects, workload),
            [cheaper(workload.name, workload.name, target)],
        )
        for workload, target in workloads
    ]


def _spectra_row(subjects: Subjects, scale: Scale) -> Row:
    gzip = Workload(name="mca", channels=8, points=scale.points(2_000, 60), width=4096)
    lz4 = replace(gzip, name="mca_lz4", scheme="lz4-bitshuffle")
    lz4_subjects = subjects | {FLOOR: floor("--bitshuffle")}

    def speed(samples: Samples, subject: str) -> float:
        mine = samples.median("mca", "mca", subject, "wall")
        return samples.median("mca", "mca", REFERENCE, "wall") / mine

    def size(samples: Samples, subject: str) -> float:
        mine = samples.median("mca", "mca", subject, "file")
        return mine / samples.median("mca", "mca", REFERENCE, "file")

    def of_floor(samples: Samples, subject: str) -> float:
        mine = samples.median("mca", "mca_lz4", subject, "cpu")
        return samples.median("mca", "mca_lz4", FLOOR, "cpu") / mine

    return Row(
        "mca",
        gzip.title,
        [*drains(subjects, gzip), *drains(lz4_subjects, lz4, OURS, POWER, FLOOR)],
        [
            cheaper("mca", "mca", 5.0),
            Check("MB/s / MB/s of blisswriter", 5.0, speed),
            Check("file / file of blisswriter", 1.05, size, at_least=False, digits=3),
            Check("bitshuffle-lz4: CPU of the floor / CPU", 0.8, of_floor, digits=2),
        ],
    )


def _wide_row(subjects: Subjects, scale: Scale) -> Row:
    wide = Workload(name="wide", channels=scale.points(2_000, 100), points=scale.points(100, 20))
    sizes = (20,) if scale.tiny else (20, 200, 2_000)
    total = scale.points(200_000, 2_000)
    lengths = [
        Workload(name=f"{channels} x {more}", channels=channels, points=10 + more)
        for channels in sizes
        for more in (0, total // channels)
    ]
    slow = replace(wide, name="wide_live", rate=20.0 if scale.tiny else 10.0)
    jobs = drains(subjects, wide)
    for workload in lengths:
        jobs += drains(subjects, workload, OURS)
    jobs += [
        Job(slow.name, name, partial(live, subjects[name], slow))
        for name in (OURS, POWER, REFERENCE)
        if name in subjects
    ]

    def flat(samples: Samples, subject: str) -> float:
        costs = []
        for channels in sizes:
            few, many = (
                samples.median("wide", f"{channels} x {more}", subject, "cpu")
                for more in (0, total // channels)
            )
            costs.append((many - few) / total)
        return greatest(costs) / min(costs)

    return Row(
        "wide",
        f"{wide.title}; live at 10 Hz",
        jobs,
        [
            cheaper("wide", "wide", 4.0),
            Check(
                "memory / memory of blisswriter",
                1.0,
                lambda samples, subject: 1 / of_reference("wide", "wide", "peak", samples, subject),
                at_least=False,
                digits=2,
            ),
            Check(
                f"cost of a further point, dearest / cheapest of {sizes} channels",
                1.2,
                flat,
                at_least=False,
                digits=2,
            ),
            within("wide", "wide_live", "lag", 1.0, "lag of the last point, s"),
        ],
    )


def _short_row(subjects: Subjects, scale: Scale) -> Row:
    scan = Workload(name="short", channels=20, points=10)
    count = scale.points(100, 8)
    # Scans that a writer loses are waited for.
    patience = 20.0 if scale.tiny else 30.0

    def complete(samples: Samples, subject: str) -> float:
        runs = samples.values("short", "short", subject, "complete")
        return min(runs, default=math.nan) / count

    return Row(
        "short",
        f"{count} scans back to back, {scan.channels} channels, {scan.points} points",
        [
            Job("short", name, partial(short_scans, subjects[name], scan, count, patience))
            for name in (OURS, POWER, REFERENCE, FLOOR)
            if name in subjects
        ],
        [
            Check("share of scans complete, in the worst run", 1.0, complete, digits=2),
            cheaper("short", "short", 2.5),
            within("short", "short", "entry_p99", 0.05, "PREPARED to entry visible, p99, s", 3),
        ],
    )


def _parallel_row(subjects: Subjects, scale: Scale) -> Row:
    scan = Workload(name="one", channels=5, points=scale.points(20_000, 500), block=10)
    count = scale.points(32, 8)
    cases = {"one": ("",), "one file": ("",) * count}
    cases["files"] = tuple(f"scan{index}" for index in range(count))
    jobs = [
        Job(case, name, partial(drain, subjects[name], scan, files=files))
        for case, files in cases.items()
        for name in (OURS, POWER, REFERENCE, FLOOR)
        if name in subjects
    ]

    def threads(samples: Samples, subject: str) -> float:
        one, *more = (
            greatest(samples.values("parallel", case, subject, "threads")) for case in cases
        )
        return max(more) - one

    def cost(case: str, samples: Samples, subject: str) -> float:
        one, many = (samples.median("parallel", each, subject, "cpu") for each in ("one", case))
        return many / count / one

    return Row(
        "parallel",
        f"{count} scans at once, each {scan.title}",
        jobs,
        [
            Check("threads more than for one scan", 0, threads, at_least=False, digits=0),
            *(
                Check(
                    f"cost of a point / that in one scan, {text}",
                    1.2,
                    partial(cost, case),
                    at_least=False,
                    digits=2,
                )
                for case, text in (("one file", "one file"), ("files", f"{count} files"))
            ),
        ],
    )


# ------------------------------------------------------------------------------------------- time


def _latency_row(subjects: Subjects, scale: Scale) -> Row:
    gzip = "gzip-byteshuffle"
    workloads = [
        Workload(name="1 Hz", channels=10, points=20, rate=1.0, scheme=gzip),
        Workload(name="100 Hz", channels=10, points=1_000, rate=100.0, scheme=gzip),
        Workload(name="10 kHz", channels=10, points=100_000, rate=1e4, block=100, scheme=gzip),
    ]
    if scale.tiny:
        workloads = [replace(workloads[2], points=10_000)]
    return Row(
        "latency",
        "10 scalars float64 with gzip, live; a reader looks every 20 ms",
        [
            Job(one.name, name, partial(live, subjects[name], one), once=name == REFERENCE)
            for one in workloads
            for name in (OURS, POWER, REFERENCE)
            if name in subjects
        ],
        [
            within("latency", one.name, quantity, 0.5, f"XADD to visible, p99, s, {one.name}", 2)
            for one in workloads
            for quantity in ("p99",)
        ],
    )


def _catch_up_row(subjects: Subjects, scale: Scale) -> Row:
    points = scale.points(200_000, 2_000)
    workloads = [
        Workload(name=f"blocks of {block}", channels=50, points=points, block=block)
        for block in (100, 10)
    ]

    def speed(case: str, quantity: str, samples: Samples, subject: str) -> float:
        mine = samples.median("catch-up", case, subject, quantity)
        return samples.median("catch-up", case, "bare", quantity) / mine

    return Row(
        "catch-up",
        f"{50 * points:,} points waiting",
        [
            job
            for one in workloads
            for job in (
                *drains(subjects, one, OURS, POWER, FLOOR),
                Job(one.name, "bare", partial(bare_read, one)),
            )
        ],
        [
            Check(
                f"speed / speed of a bare hiredis client, by {text}, {one.name}",
                0.5,
                partial(speed, one.name, quantity),
                digits=2,
            )
            for one in workloads
            for quantity, text in (("cpu", "CPU"), ("wall", "clock"))
        ],
    )


def _memory_row(subjects: Subjects, scale: Scale) -> Row:
    seconds = 4.0 if scale.tiny else scale.soak_seconds

    def peak(samples: Samples, subject: str) -> float:
        return greatest(
            one.values["peak"]
            for one in samples.samples
            if one.subject == subject and "peak" in one.values
        )

    return Row(
        "memory",
        f"50 scalars at 10 kHz for {seconds:g} s; the peak is that of all rows",
        [
            Job("soak", name, partial(soak, subjects[name], seconds), once=True)
            for name in (OURS, POWER)
            if name in subjects
        ],
        [
            Check("peak of all rows, MB", 250, peak, at_least=False, digits=0),
            within("memory", "soak", "growth", 1.05, "memory, last quarter / second quarter", 3),
        ],
    )


def _idle_row(subjects: Subjects, scale: Scale) -> Row:
    count, seconds = (3, 2.0) if scale.tiny else (20, 30.0)
    return Row(
        "idle",
        f"{count} sessions that wait, each in a process of its own, for {seconds:g} s",
        [
            Job("idle", name, partial(idle, subjects[name], count, seconds))
            for name in (OURS, REFERENCE)
            if name in subjects
        ],
        [
            within("idle", "idle", "percent", 1.0, "% of a core, all together"),
            within("idle", "idle", "start", 1.0, "start until it listens, s"),
            within("idle", "idle", "start_cpu", 1.0, "CPU of a start, s"),
        ],
    )
