"""The trees of all kinds of scans as texts, checked in here and shown in docs/layout.md.

``python -m tests.golden_trees`` writes them anew; what changed is then to be read in ``git diff``.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.support_kinds import SAVED, Kind
from tests.support_tree_text import tree_text
from tests.support_written import written

from nexus_writer_service.model.tree import Group, Node

HERE = Path(__file__).parent
GOLDEN = HERE / "layout" / "esrf" / "golden"
GUIDE = HERE.parent / "docs" / "layout.md"

_BLOCK = re.compile(r"(?<=<!-- tree )(\S+) ([^/\s]+)(\S*)( -->\n```text\n).*?(?=```\n)", re.DOTALL)
"""A tree in the guide: of which kind, which of its files, which group in it ("": the root)."""


def golden_text(kind: Kind) -> str:
    """All files of a kind, each when its scans are prepared and at their end."""
    return "\n".join(_lines(kind)) + "\n"


def _lines(kind: Kind) -> Iterator[str]:
    for path, file in sorted(written(kind.scans(), kind.options).items()):
        yield f"==== {path}, prepared"
        yield from tree_text(file.prepared, {})
        yield f"==== {path}, ended"
        yield from tree_text(file.ended, file.lengths)


def guide_with_trees(guide: str) -> str:
    """The guide with all trees in it as they are now.

    A block of text below ``<!-- tree KIND FILE/GROUP -->`` is that group at the end of the scans of
    that kind; ``FILE`` is its name without folders.
    """
    return _BLOCK.sub(
        lambda found: f"{found[1]} {found[2]}{found[3]}{found[4]}{_tree(*found.groups())}", guide
    )


def _tree(kind: str, file: str, path: str, _: str) -> str:
    files = written(SAVED[kind].scans(), SAVED[kind].options)
    (whole,) = (one for name, one in files.items() if name.endswith(f"/{file}"))
    node: Node = whole.ended
    for part in path.split("/")[1:]:
        assert isinstance(node, Group), path
        node = node.children[part]
    assert isinstance(node, Group), path
    above, _, name = path.rpartition("/")
    shown = Group({name: node}) if path else node
    return "".join(f"{line}\n" for line in tree_text(shown, whole.lengths, above))


def main() -> None:
    GOLDEN.mkdir(exist_ok=True)
    for path in GOLDEN.glob("*.txt"):
        path.unlink()
    for name, kind in SAVED.items():
        (GOLDEN / f"{name}.txt").write_text(golden_text(kind), encoding="utf-8")
    GUIDE.write_text(guide_with_trees(GUIDE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
