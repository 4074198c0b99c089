"""Lists what a run left in OUT: one OUT/listing/KIND.json per kind, in the form of the reference, ready for compare.py.

    list_h5.py OUT     after scans.py --out OUT, with the writer down

A listing holds how each scan ended, and for each file its objects as {path: facts}. So that two runs can be compared,
entry numbers become ranks (/7.1/title is /#1.1/title in a file whose first scan is 7), scanNNNN folders and dates too, times read
<time>, versions <version>, the output folder <out>. Values are listed where they do not come from a stream: datasets that
cannot grow. (complete.py checks the streams.)
"""

import json
import os
import re
import stat
import sys

import h5py
import hdf5plugin  # noqa: F401  (filters beyond HDF5's own)
import numpy

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)")
SESSION_DATE = re.compile(r"(?<=/)20\d{6}(?=/)")
SCAN_FOLDER = re.compile(r"\bscan(\d{4,})\b")
ENTRY = re.compile(r"(?<![\w.])(\d+)\.(\d+)(?=/|$)")


class Names:
    """How the numbers of one kind's run read in its listing."""

    def __init__(self, folder, paths):
        self.folder = folder
        numbers = sorted({int(match[1]) for path in paths if (match := SCAN_FOLDER.search(path))})
        self._scan_folders = {number: f"scan#{rank}" for rank, number in enumerate(numbers, 1)}
        self._entries = {}

    def of_file(self, file):
        """Rank the entries of a file: /7.1 and /7.2 become /#1.1 and /#1.2 when 7 is the file's lowest scan number."""
        numbers = sorted({int(match[1]) for name in file if (match := ENTRY.fullmatch(name))})
        self._entries = {number: f"#{rank}" for rank, number in enumerate(numbers, 1)}

    def file(self, path):
        """A file's name as listed."""
        path = SCAN_FOLDER.sub(lambda match: self._scan_folders.get(int(match[1]), match[0]), path)
        return SESSION_DATE.sub("<date>", path.replace(self.folder, "<out>"))

    def node(self, path):
        """An HDF5 path as listed."""
        return ENTRY.sub(lambda match: f"{self._entries.get(int(match[1]), match[1])}.{match[2]}", path)

    def value(self, value):
        """A value from the file as JSON-like data."""
        if isinstance(value, bytes):
            value = value.decode("utf8", "replace")
        if isinstance(value, str):
            return "<time>" if TIME.fullmatch(value) else self.file(value)
        if isinstance(value, (numpy.ndarray, numpy.generic)):
            return self.value(value.tolist())
        if isinstance(value, (list, tuple)):
            return [self.value(one) for one in value]
        if isinstance(value, (int, float)) and value == value:  # JSON has no NaN
            return value
        return repr(value)


def attributes(node, names):
    found = {}
    for name, value in node.attrs.items():
        value = "<version>" if "version" in name.lower() else names.value(value)
        found[f"@{name}"] = names.node(value) if name == "default" else value
    return found


def dataset_facts(dataset, names):
    text = h5py.check_string_dtype(dataset.dtype)
    facts = {"dtype": f"string({text.encoding},{text.length})" if text else str(dataset.dtype), "shape": dataset.shape}
    create = dataset.id.get_create_plist()
    if dataset.chunks:
        facts["chunks"] = dataset.chunks
    if filters := [create.get_filter(i)[0] for i in range(create.get_nfilters())]:
        facts["filters"] = filters
    if dataset.external:
        facts["raw"] = [names.file(os.fsdecode(file)) for file, *_ in dataset.external]
    if dataset.is_virtual:
        facts["sources"] = [[names.file(s.file_name), names.node(s.dset_name)] for s in dataset.virtual_sources()]
    if dataset.maxshape != dataset.shape:
        facts["maxshape"] = dataset.maxshape
    if dataset.is_virtual or dataset.maxshape != dataset.shape:
        facts["fill"] = None if dataset.dtype.kind in "OSU" else str(dataset.fillvalue)
    elif dataset.shape is not None and dataset.size <= 64:
        facts["value"] = names.value(dataset[()])
    return facts


def target_kind(group, name):
    try:
        return type(group[name]).__name__
    except (KeyError, OSError):
        return "BROKEN"


def objects_below(group, path, names, seen):
    """(path, facts) of everything below a group."""
    for name in group:
        here = names.node(f"{path}/{name}")
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.SoftLink):
            yield here, {"soft": names.node(link.path), "leads to": target_kind(group, name)}
            continue
        if isinstance(link, h5py.ExternalLink):
            target = f"{names.file(link.filename)}::{names.node(link.path)}"
            yield here, {"external": target, "leads to": target_kind(group, name)}
            continue
        node = group[name]
        address = h5py.h5o.get_info(node.id).addr
        if address in seen:
            yield here, {"hard link to": seen[address]}
            continue
        seen[address] = here
        if isinstance(node, h5py.Group):
            yield here, {"group": True, **attributes(node, names)}
            yield from objects_below(node, f"{path}/{name}", names, seen)
        else:
            yield here, {**dataset_facts(node, names), **attributes(node, names)}


def list_file(path, names):
    writable = bool(os.stat(path).st_mode & stat.S_IWUSR)
    if not path.endswith(".h5"):
        return {"/": {"other file": True}}
    with h5py.File(path, "r", locking=False) as file:
        names.of_file(file)
        return {"/": {"writable": writable, **attributes(file, names)}, **dict(objects_below(file, "", names, {}))}


def list_kind(out, kind):
    """What a kind left: its verdicts and its files."""
    with open(os.path.join(out, "dump", f"{kind}.json")) as file:
        dump = json.load(file)
    top = os.path.join(out, kind if kind == "esrf_policy" else os.path.join("test_session", kind))
    paths = sorted(os.path.join(root, name) for root, _, found in os.walk(top) for name in found)
    names = Names(out, paths)
    files = {names.file(os.path.relpath(path, top)): list_file(path, names) for path in paths}
    return {"raised": bool(dump["error"]), "scans": dump["verdicts"], "files": files}


def _json(value):
    return json.dumps(value, default=str, ensure_ascii=False)


def as_text(found):
    """JSON with one object of a file per line."""
    scans = ",\n".join(map(_json, found["scans"]))
    files = ",\n".join(
        f"{_json(name)}: {{\n" + ",\n".join(f"{_json(path)}: {_json(facts)}" for path, facts in sorted(one.items())) + "}"
        for name, one in found["files"].items()
    )
    return f'{{"raised": {_json(found["raised"])}, "scans": [\n{scans}],\n"files": {{\n{files}}}}}\n'


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    out = os.path.abspath(sys.argv[1])
    kinds = sorted(name.removesuffix(".json") for name in os.listdir(os.path.join(out, "dump")) if name.endswith(".json"))
    os.makedirs(os.path.join(out, "listing"), exist_ok=True)
    for kind in kinds:
        with open(os.path.join(out, "listing", f"{kind}.json"), "w", encoding="utf8") as file:
            file.write(as_text(list_kind(out, kind)))
    print(len(kinds), "kinds listed")


if __name__ == "__main__":
    main()
