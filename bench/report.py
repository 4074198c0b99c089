"""What was measured, as tables in Markdown.

python -m bench.report bench/out/benchmarks.json
"""

import math
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from bench.row import Check, Row, Scale
from bench.rows import all_rows
from bench.samples import Sample, Samples
from bench.writers import FLOOR, OURS, POWER, REFERENCE, Writer, floor, our_writer

from nexus_writer_service.errors import SettingsError

_BEGIN, _END = "<!-- results -->", "<!-- end of results -->"
_QUANTITIES = (
    ("cpu", "CPU s", 3),
    ("µs", "µs CPU/point", 3),
    ("MB/s", "MB/s", 1),
    ("peak", "peak MB", 0),
    ("file", "file MB", 1),
    ("threads", "threads", 0),
    ("p50", "p50 s", 3),
    ("p99", "p99 s", 3),
    ("most", "max s", 3),
    ("lag", "lag s", 2),
)


def machine() -> dict[str, str | int]:
    """What the figures depend on."""
    model = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "processor": model,
        "cores": os.cpu_count() or 0,
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def tables(samples: Samples, rows: Sequence[Row]) -> str:
    """The promises, and below them what they are made of."""
    about = samples.machine
    loads = [one.load for one in samples.samples]
    runs = [len(samples.find(*case)) for case in samples.cases()]
    versions = ", ".join(f"{name} {version}" for name, version in samples.versions.items())
    return "\n".join(
        [
            f"{about['cores']} x {about['processor']}, {about['system']}, "
            f"Python {about['python']}; {versions}; "
            f"load average {min(loads):.1f} to {max(loads):.1f}; medians of {max(runs)} runs",
            "",
            *_promises(samples, rows),
            "",
            *_details(samples),
        ]
    )


def _promises(samples: Samples, rows: Sequence[Row]) -> list[str]:
    lines = _header("row", "promise", "target", "ours", "", "power", "floor")
    for row in rows:
        for check in row.checks:
            ours, power, bare = (check.value(samples, name) for name in (OURS, POWER, FLOOR))
            sign = "≥" if check.at_least else "≤"
            cells = (
                row.name,
                check.text,
                f"{sign} {check.target:g}",
                _number(ours, check.digits),
                _verdict(check, ours),
                _number(power, check.digits),
                _number(bare, check.digits),
            )
            lines.append(_line(cells))
    return lines


def _verdict(check: Check, value: float) -> str:
    if math.isnan(value):
        return "not measured"
    return "met" if check.met(value) else "**not met**"


def _details(samples: Samples) -> list[str]:
    lines = _header("row", "case", "subject", *(title for _, title, _ in _QUANTITIES), "verified")
    for row, case, subject in samples.cases():
        runs = samples.find(row, case, subject)
        cells = [_number(_typical(runs, quantity), digits) for quantity, _, digits in _QUANTITIES]
        right = sum(not one.problems for one in runs)
        lines.append(_line((row, case, subject, *cells, f"{right}/{len(runs)}")))
    return lines


def _typical(runs: Sequence[Sample], quantity: str) -> float:
    found = []
    for one in runs:
        values = dict(one.values)
        if values.get("points") and "cpu" in values:
            values["µs"] = values["cpu"] / values["points"] * 1e6
        if values.get("bytes") and values.get("wall"):
            values["MB/s"] = values["bytes"] / values["wall"] / 1e6
        if quantity in values:
            found.append(values[quantity])
    return float(median(found)) if found else math.nan


def _number(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:,.{digits}f}"


def _header(*titles: str) -> list[str]:
    return [_line(titles), _line(["---"] * len(titles))]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _every_subject() -> dict[str, Writer]:
    # Nobody runs: the promises only need to know who might have been measured.
    stand_in = our_writer(REFERENCE)
    return {OURS: our_writer(), POWER: our_writer(POWER), REFERENCE: stand_in, FLOOR: floor()}


def replace_between_marks(text: str, new: str) -> str:
    """A document with other results.

    Raises:
        SettingsError: it does not have both marks.
    """
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not end:
        raise SettingsError(f"the document needs {_BEGIN} and {_END} around its results")
    return f"{before}{begin}\n{new}\n{end}{after}"


def main() -> None:
    """Print the tables of the file that is named first, or put them into the second one."""
    samples = Samples.read(Path(sys.argv[1]))
    measured = {one.row for one in samples.samples}
    rows = [row for row in all_rows(_every_subject(), Scale()) if row.name in measured]
    text = tables(samples, rows)
    if len(sys.argv) > 2:
        document = Path(sys.argv[2])
        document.write_text(replace_between_marks(document.read_text(), text))
    else:
        print(text)


if __name__ == "__main__":
    main()
