"""Scans whose writer ended before them."""

import h5py
from tests.support_resume import (
    STORIES,
    Story,
    prepare,
)
from tests.support_same_file import contents

from nexus_writer_service.layout.writer_note import DATA, read_writer_note


def note(path):
    """What the writer's note in a file says."""
    with h5py.File(path, "r") as file:
        return read_writer_note(file[f"7.1/{DATA}"].asstr()[()])


def undisturbed(tmp_path, kind):
    story = STORIES[kind](tmp_path / "undisturbed")
    story.tell(story.bench())
    return contents(story.folder / "data.h5")


def some(tmp_path, *steps, **more):
    """A writer that was told some steps of a plain scan, each committed."""
    story = Story(tmp_path, [prepare, *steps])
    bench = story.bench(**more)
    story.tell_some(bench, len(story.steps))
    return bench


def suspended(tmp_path, *steps):
    bench = some(tmp_path, *steps)
    bench.writer.suspend("the writer was stopped")
    bench.settle()
    bench.disk.stop()
    return bench


def go_on(tmp_path, *steps, **more):
    bench = some(tmp_path, *steps, **more)
    bench.settle_until_over()
    bench.disk.stop()
    return bench
