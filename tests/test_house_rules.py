"""Rules of this project that no linter knows."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PYTHON = [
    *SOURCES,
    *sorted((ROOT / "tests").rglob("*.py")),
    *sorted((ROOT / "bench").rglob("*.py")),
]

NAMES_FOR_ANYTHING = re.compile(r"(.*_)?(utils?|helpers?|common|misc)")
LINES_OF_A_FILE = 400
LINES_OF_A_FUNCTION = 60
FOLDERS = "tmp|work|root|opt|home|Users"
MACHINE_PATH = re.compile(rf"(?<![\w.~<>-])/(?:{FOLDERS})/")


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def tracked_files() -> list[Path]:
    """What is in the repository or about to be; skips where there is none, as in an sdist."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if (ROOT / name).is_file()]


def test_modules_are_named_for_a_thing() -> None:
    names = [path.relative_to(ROOT) for path in PYTHON]
    parts = {part.removesuffix(".py") for name in names for part in name.parts}
    assert [part for part in sorted(parts) if NAMES_FOR_ANYTHING.fullmatch(part)] == []


def test_files_are_short() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: n for name, n in lengths.items() if n > LINES_OF_A_FILE} == {}


def test_bodies_of_functions_are_short() -> None:
    lengths = {
        f"{path.name}:{node.name}": (node.end_lineno or node.lineno) - node.body[0].lineno + 1
        for path in SOURCES
        for node in functions(path)
    }
    assert {name: n for name, n in lengths.items() if n > LINES_OF_A_FUNCTION} == {}


def test_modules_say_what_they_are_for() -> None:
    silent = [path for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text()))]
    assert [path.name for path in silent] == []


def test_no_file_holds_a_path_of_somebody_s_machine() -> None:
    found = []
    for path in tracked_files():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        where = path.relative_to(ROOT)
        found += [f"{where}:{n}: {x}" for n, x in enumerate(lines, 1) if MACHINE_PATH.search(x)]
    assert found == []


@pytest.mark.parametrize("folder", FOLDERS.split("|"))
def test_paths_of_machines_are_recognized(folder: str) -> None:
    assert MACHINE_PATH.search(f'open("/{folder}/x")')
    assert not MACHINE_PATH.search(f"<out>/{folder}/x ./{folder}/x src/{folder}/x")
