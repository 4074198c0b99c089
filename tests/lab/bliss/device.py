"""Is the writer device what BLISS and its users take it for?

    device.py REFERENCE OUT [--class BlissWriter] [--kinds k05,k18] [--failed FILE]

While the device runs:
- Its commands, attributes and properties are those of the reference's device, with their types (REFERENCE/interface.json);
  what is additional is listed.
- What BLISS asked while it ran the scans (OUT/questions) was answered as by the reference (REFERENCE/calls.json): the same
  questions in the same order, no errors, answers of the same types and values. A scan's state may also be INIT: BLISS takes
  it as it takes ON. FAULT is wrong: all kinds of scans can be saved.
"""

import argparse
import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path

import tango

FAMILIES = {"NexusWriter": "bliss_nxwriter", "BlissWriter": "blisswriter"}
SERVER = "dserver/nexuswriter/nexuswriters"
ORDERED = "k03_loopscan"
"""The kind whose questions are compared one by one: a single scan, shorter than the 3 s between two checks."""
MORE_ANSWERS = {"scan_state": ["INIT"]}


def interface(device_class):
    """The device's commands, attributes and properties, as clients see them."""
    proxy = tango.DeviceProxy(f"id00/{FAMILIES[device_class]}/test_session")
    properties = list(tango.DeviceProxy(SERVER).QueryWizardDevProperty(device_class))
    return {
        "commands": {c.cmd_name: [str(c.in_type), str(c.out_type)] for c in proxy.command_list_query()},
        "attributes": {
            a.name: [str(tango.CmdArgType.values[a.data_type]), str(a.data_format), str(a.writable), a.max_dim_x]
            for a in proxy.attribute_list_query()
        },
        "properties": dict(zip(properties[::3], properties[2::3], strict=True)),
    }


def same(a, b):
    try:
        return float(a) == float(b)
    except (TypeError, ValueError):
        return a == b


def check_interface(reference, found):
    """Differences, as lines."""
    for what, members in reference.items():
        ours = {name.lower(): facts for name, facts in found[what].items()}  # Tango takes no notice of case
        for name, facts in members.items():
            if name.lower() not in ours:
                yield f"{what}: {name} is missing"
            elif not same(ours[name.lower()], facts):
                yield f"{what}: {name} is {ours[name.lower()]}, that of the reference {facts}"


def check_questions(kind, asked, reference):
    """Differences, as lines."""
    for question in asked:
        name = question["call"]
        expected = reference["calls"].get(name)
        if expected is None:
            yield f"BLISS does not ask the reference for {name}"
        elif "error" in question:
            yield f"{name}: {question['error']}"
        elif (question["arguments"], question["type"]) != (expected["arguments"], expected["type"]):
            yield f"{name} has {question['arguments']} arguments and answers {question['type']}"
        elif "answers" in expected and question["answer"] not in expected["answers"] + MORE_ANSWERS.get(name, []):
            yield f"{name} answers {question['answer']!r}"
    names = [question["call"] for question in asked]
    if kind == ORDERED and names != reference["of_a_scan"]:
        yield f"BLISS asks {names}, and of the reference {reference['of_a_scan']}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kinds", default="", help="comma-separated beginnings of kind names (default: all)")
    parser.add_argument("--class", dest="device_class", default="NexusWriter", choices=FAMILIES)
    parser.add_argument("--failed", type=Path, help="append the names of kinds with differences to this file")
    options = parser.parse_args()
    starts = tuple(s for s in options.kinds.split(",") if s) or ("",)
    reference = {name: json.loads((options.reference / f"{name}.json").read_text()) for name in ("interface", "calls")}
    found = interface(options.device_class)
    problems = list(check_interface(reference["interface"], found))
    failed, took = ["interface"] if problems else [], defaultdict(list)
    for path in sorted((options.out / "questions").glob("*.json")):
        if path.stem.startswith(starts):
            asked = json.loads(path.read_text())
            lines = [f"{path.stem}: {line}" for line in check_questions(path.stem, asked, reference["calls"])]
            failed += [path.stem] if lines else []
            problems += lines
            for question in asked:
                took[question["call"]].append(question["ms"])
    print(*problems, sep="\n", end="\n" if problems else "")
    for what, members in found.items():
        print(f"additional {what}:", *sorted(members.keys() - reference["interface"][what].keys()))
    for name, times in took.items():
        print(f"{name}: {len(times)} times, {statistics.median(times):.1f} ms, at most {max(times):.1f} ms")
    print(f"{sum(map(len, took.values()))} questions, {len(problems)} differences")
    if options.failed:
        with options.failed.open("a") as file:
            file.writelines(f"{kind}\n" for kind in failed)
    return 1 if problems or not took else 0


if __name__ == "__main__":
    sys.exit(main())
