import h5py
import numpy as np
import pytest
from tests.support_hdf5 import root, stack, stream

from nexus_writer_service.errors import FileError
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.tree_text import tree_lines
from nexus_writer_service.model.description import ImageFiles
from nexus_writer_service.model.tree import (
    Dataset,
    ExternalLink,
    Group,
    SoftLink,
    VirtualDataset,
    VirtualSource,
)

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")

FILES = ImageFiles("/nowhere/cam_%04d.h5", "/data", "hdf5", frames_per_file=1)


@pytest.fixture
def path(tmp_path):
    path = str(tmp_path / "file.h5")
    file = NexusFile.open(path)
    numbers = Group(
        {
            "few": Dataset(np.array([0.0, 0.5])),
            "many": Dataset(np.arange(11) / 10, {"units": "mm", "long_name": "many é"}),
            "none": Dataset(np.zeros(0)),
            "table": Dataset(np.zeros((2, 3), "u2")),
            "one": Dataset(3),
            "flag": Dataset(True),
            "texts": Dataset(["a", "b"]),
            "long": Dataset("x" * 200, {"list": np.arange(9)}),
            "images": stack(FILES),
        },
        {"NX_class": "NXcollection"},
    )
    entry = Group(
        {
            "title": Dataset('say "hi"\nagain'),
            "numbers": numbers,
            "soft": SoftLink("numbers/few"),
            "external": ExternalLink("other.h5", "/1.1"),
            "mapped": VirtualDataset(np.dtype("f8"), (2,), (VirtualSource("o.h5", "/x", (2,)),)),
        },
        {"NX_class": "NXentry", "default": "plot"},
    )
    tree = Group(
        {"10.1": Group(), "2.1": entry, "bare": root(x=Dataset(1))}, {"NX_class": "NXroot"}
    )
    assert file.merge(tree) == ()
    file.extend("/2.1/numbers/images", 3)
    file.close()
    return path


def test_a_file_becomes_a_tree(path):
    assert list(tree_lines(path)) == [
        f"{path}: NXroot",
        "  2.1: NXentry",
        '    @default = "plot"',
        "    external -> other.h5::/1.1",
        "    mapped: float64[2] virtual, 1 source",
        "    numbers: NXcollection",
        "      few: float64[2] = [0.0, 0.5]",
        "      flag: bool = True",
        "      images: uint16[3,3,4] virtual, 3 sources",
        f'      long: text = "{"x" * 97}..."',
        "        @list = [0, 1, 2, 3, 4, ...]",
        "      many: float64[11] = [0.0, 0.1, 0.2, 0.3, 0.4, ...]",
        '        @long_name = "many é"',
        '        @units = "mm"',
        "      none: float64[0] = []",
        "      one: int64 = 3",
        "      table: uint16[2,3]",
        '      texts: text[2] = ["a", "b"]',
        "    soft -> numbers/few",
        '    title: text = "say \\"hi\\"\\nagain"',
        "  10.1",
        "  bare",
        "    x: int64 = 1",
    ]


def test_depth_counts_groups(path):
    lines = list(tree_lines(path, max_depth=1))
    assert "    numbers: NXcollection" not in lines
    assert lines[1:4] == ["  2.1: NXentry", '    @default = "plot"', "  10.1"]
    assert list(tree_lines(path, max_depth=0)) == [f"{path}: NXroot"]
    assert "    numbers: NXcollection" in tree_lines(path, max_depth=2)


def test_values_can_be_left_out(path):
    lines = list(tree_lines(path, values=False))
    assert "      many: float64[11]" in lines
    assert "        @units: text" in lines
    assert not any("=" in line for line in lines)


def test_a_file_being_written_can_be_shown(tmp_path):
    file = NexusFile.open(str(tmp_path / "file.h5"))
    file.merge(root(d=stream()))
    file.append("/d", 0, [np.zeros(2)])
    file.commit()
    assert list(tree_lines(file.path))[1:] == ["  d: float64[2] = [0.0, 0.0]"]
    file.close()


def test_external_data_and_named_types_and_old_strings_are_shown(tmp_path):
    path = str(tmp_path / "other.h5")
    with h5py.File(path, "w") as file:
        file.create_dataset("raw", (2,), "u1", external=[("/nowhere/x.bin", 0, 2)])
        file["type"] = np.dtype("f8")
        file["fixed"] = np.array([b"a", b"\xff"])
        file["empty"] = h5py.Empty("f8")
        file.attrs["empty"] = h5py.Empty("f8")
        file.attrs["NX_class"] = np.bytes_(b"NXroot")
    assert list(tree_lines(path)) == [
        f"{path}: NXroot",
        "  @empty: nothing of float64",
        "  empty: nothing of float64",
        '  fixed: text[2] = ["a", "\ufffd"]',
        "  raw: uint8[2] in 1 piece of other files",
        "  type: named datatype",
    ]


def test_what_cannot_be_read_is_said_and_the_rest_is_shown(tmp_path):
    path = str(tmp_path / "broken.h5")
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=np.arange(1000), compression="gzip", chunks=(1000,))
        file["b"] = 1
        chunk = file["a"].id.get_chunk_info(0)
    with open(path, "r+b") as raw:
        raw.seek(chunk.byte_offset)
        raw.write(b"\xff" * 20)
    lines = list(tree_lines(path))
    assert lines[1].startswith("  a (cannot be read: ")
    assert lines[2:] == ["  b: int64 = 1"]


@pytest.mark.parametrize("content", [None, "not HDF5"])
def test_a_file_that_cannot_be_opened_is_an_error_of_ours(tmp_path, content):
    path = tmp_path / "x.h5"
    if content is not None:
        path.write_text(content)
    with pytest.raises(FileError, match=r"x\.h5"):
        next(tree_lines(str(path)))
