"""The table of promises is complete, and the tests that it names exist."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROW = re.compile(
    r"\| (?P<number>\d+) \| (?P<promise>[^|]+) \| (?P<status>[^|]+) \| (?P<proof>[^|]+) \|"
)
TEST = re.compile(r"(?P<file>tests/[\w/.-]+\.py)::(?P<name>\w+)")
PROMISES = 124


def rows() -> list[re.Match[str]]:
    lines = (ROOT / "docs" / "requirements.md").read_text(encoding="utf-8").splitlines()
    return [row for row in map(ROW.fullmatch, lines) if row]


@cache
def names_in(file: str) -> frozenset[str]:
    if not (ROOT / file).is_file():
        return frozenset()
    nodes = ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return frozenset(node.name for node in nodes if isinstance(node, kinds))


def test_all_promises_are_there_once_and_in_order() -> None:
    assert [int(row["number"]) for row in rows()] == list(range(1, PROMISES + 1))


def test_tests_that_are_named_exist() -> None:
    named = {(test["file"], test["name"]) for row in rows() for test in TEST.finditer(row["proof"])}
    missing = [f"{file}::{name}" for file, name in sorted(named) if name not in names_in(file)]
    assert missing == []


def test_each_status_has_the_proof_that_it_needs() -> None:
    for row in rows():
        match row["status"]:
            case "kept":
                assert TEST.search(row["proof"]), row[0]
            case "next":
                assert row["proof"][0].isalpha(), row[0]
            case other:
                raise AssertionError(f"{other} is no status: {row[0]}")
