"""Compares the listings of a run with those of the reference.

    compare.py REFERENCE LISTING [--kinds k05,k18] [--expected FILE...] [--failed FILE]

For each kind: how its scans ended, which files there are, and every object, link, attribute and static value in them.
A difference is one line: "- PATH" is missing, "+ PATH" is additional, "~ PATH FACT: REFERENCE -> NEW" has changed.
REFERENCE/unstable.txt tells what varies from run to run, FILE what is wanted of the writer under test. Lines of both:

    [optional] KIND | DIFFERENCE | REASON      "*" stands for any text. An expected difference that is not found
                                               in a kind with files is an error, unless it is optional.

Exit status 1 when there are other differences, or expected ones are not found. --failed appends the kinds concerned
to a file.
"""

import argparse
import json
import re
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Rule:
    """One line of unstable.txt or of the expected differences."""

    kind: str
    difference: str
    optional: bool
    found: set = field(default_factory=set)

    def concerns(self, kind):
        return _matches(self.kind, kind)

    def explains(self, kind, difference):
        matched = self.concerns(kind) and _matches(self.difference, difference)
        if matched:
            self.found.add(kind)
        return matched


def _matches(pattern, text):
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


def rules(path):
    found = []
    for number, line in enumerate(path.read_text("utf8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split(" | ")]
        if len(parts) != 3 or not all(parts):
            raise SystemExit(f"{path}:{number}: not 'KIND | DIFFERENCE | REASON': {line}")
        kind = parts[0].removeprefix("optional ")
        found.append(Rule(kind.strip(), parts[1], optional=kind != parts[0]))
    return found


def differences(reference, new, prefix=""):
    """Lines for two {path: {fact: value}}."""
    for path in reference.keys() - new.keys():
        yield f"- {prefix}{path}"
    for path in new.keys() - reference.keys():
        yield f"+ {prefix}{path}"
    for path in reference.keys() & new.keys():
        a, b = reference[path], new[path]
        for fact in sorted(a.keys() | b.keys()):
            if a.get(fact) != b.get(fact):
                yield f"~ {prefix}{path} {fact}: {_text(a, fact)} -> {_text(b, fact)}"


def _text(facts, fact):
    return json.dumps(facts[fact], ensure_ascii=False) if fact in facts else "none"


def of_kind(reference, new):
    """All differences of one kind, sorted by path."""
    verdicts = [{f"scan {i}": scan for i, scan in enumerate(one["scans"], 1)} for one in (reference, new)]
    found = list(differences(*verdicts))
    if reference["raised"] != new["raised"]:
        found.append(f"~ errors: {reference['raised']} -> {new['raised']}")
    files, others = reference["files"], new["files"]
    found += [f"- file {name}" for name in files.keys() - others.keys()]
    found += [f"+ file {name}" for name in others.keys() - files.keys()]
    several = len(files) > 1
    for name in files.keys() & others.keys():
        found += differences(files[name], others[name], f"{name}:" if several else "")
    return sorted(found, key=lambda line: line[2:])


def kind_differences(reference, new):
    """All differences of one kind, given the files of its two listings; and whether the reference saved anything."""
    if not new.exists():
        return ["- all of it: the kind did not run"], False
    if not reference.exists():
        return ["+ all of it: the reference has no such kind"], False
    facts = json.loads(reference.read_text("utf8"))
    return of_kind(facts, json.loads(new.read_text("utf8"))), bool(facts["files"])


def sort_out(kind, found, is_saved, expected, unstable):
    """(differences nobody wants, how many are expected, how many vary by themselves)"""
    others, n_expected, n_unstable = [], 0, 0
    for line in found:
        if any([rule.explains(kind, line) for rule in expected]):  # a list: each rule has to see each line
            n_expected += 1
        elif any(rule.explains(kind, line) for rule in unstable):
            n_unstable += 1
        else:
            others.append(line)
    if is_saved:
        missed = [rule for rule in expected if rule.concerns(kind) and not (rule.optional or kind in rule.found)]
        others += [f"expected, but not found: {rule.difference}" for rule in missed]
    return others, n_expected, n_unstable


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", type=Path)
    parser.add_argument("listing", type=Path)
    parser.add_argument("--kinds", default="", help="comma-separated beginnings of kind names (default: all)")
    parser.add_argument("--expected", type=Path, nargs="*", default=[], help="differences that are wanted")
    parser.add_argument("--failed", type=Path, help="append the names of kinds with other differences to this file")
    options = parser.parse_args()
    starts = tuple(s for s in options.kinds.split(",") if s) or ("",)
    folders = options.reference, options.listing
    kinds = sorted({path.stem for folder in folders for path in folder.glob("*.json") if path.stem.startswith(starts)})
    unstable = rules(options.reference / "unstable.txt")
    expected = [rule for path in options.expected for rule in rules(path)]
    failed, n_others, n_expected, n_unstable = [], 0, 0, 0
    for kind in kinds:
        found, is_saved = kind_differences(*(folder / f"{kind}.json" for folder in folders))
        others, of_expected, of_unstable = sort_out(kind, found, is_saved, expected, unstable)
        n_others, n_expected, n_unstable = n_others + len(others), n_expected + of_expected, n_unstable + of_unstable
        if others:
            failed.append(kind)
            print(f"{kind}:", *others, sep="\n  ")
    print(f"{len(kinds)} kinds: {n_others} differences, {n_expected} expected, {n_unstable} of what varies by itself")
    if options.failed:
        with options.failed.open("a") as file:
            file.writelines(f"{kind}\n" for kind in failed)
    return 1 if failed or not kinds else 0


if __name__ == "__main__":
    raise SystemExit(main())
