"""Points in TIFF and NumPy files: mapped as raw data, copied on request, else referred to."""

import struct

import h5py
import numpy as np
import pytest
import tifffile

from nexus_writer_service.errors import DatasetError
from nexus_writer_service.hdf5.external import MOST_RAW_FRAMES
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.picture_files import OddPictureError, plain_pages, read_plain
from nexus_writer_service.model.description import ChannelName, FileBlock
from nexus_writer_service.model.tree import Group, LocatedStack

DATA = np.arange(2 * 4 * 6, dtype=np.uint16).reshape(2, 4, 6)


@pytest.fixture
def file(tmp_path):
    file = NexusFile.open(str(tmp_path / "out.h5"), clock=lambda: 0.0)
    yield file
    file.close()


def stack(**more):
    dtype = np.dtype(np.uint8)
    return Group({"x": LocatedStack(ChannelName("x"), dtype, (1, 1), pictures=True, **more)})


def point(*pictures):
    told = tuple((str(path), number) for path, number in pictures)
    return FileBlock(told[0][0], "", told[0][1], 1, len(told), told)


def tell(file, *points):
    for row, one in enumerate(points):
        file.locate("/x", row, [one])


def end(file):
    file.settle("/x")
    file.commit()
    with h5py.File(file.path, "r", locking=False) as other:
        return other["x"][()], other["x"].external


def save(path, data, **options):
    tifffile.imwrite(path, data, photometric="minisblack", **options)
    return path


# ------------------------------------------------------------------------------- where they are


@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "f4", "f8"])
@pytest.mark.parametrize(
    "options", [{}, {"byteorder": ">"}, {"bigtiff": True}, {"rowsperstrip": 1}]
)
def test_the_numbers_of_plain_tiff_files_are_found(tmp_path, dtype, options):
    data = DATA.astype(dtype)
    path = str(save(tmp_path / "a.tiff", data, **options))
    pages = plain_pages(path)
    assert np.array_equal([read_plain(path, page) for page in pages], data)
    assert {page.dtype.newbyteorder("=") for page in pages} == {np.dtype(dtype)}


@pytest.mark.parametrize("shape", [(), (3,), (4, 6), (2, 4, 6)])
@pytest.mark.parametrize("dtype", ["?", "u1", ">i4", "f8", "c16"])
def test_the_numbers_of_numpy_files_are_found(tmp_path, shape, dtype):
    data = np.arange(np.prod(shape, dtype=int)).astype(dtype).reshape(shape)
    path = str(tmp_path / "a.npy")
    np.save(path, data)
    (page,) = plain_pages(path)
    assert page.shape == shape
    assert np.array_equal(read_plain(path, page), data)


@pytest.mark.parametrize(
    "options",
    [{"compression": "zlib"}, {"tile": (16, 16)}],
)
def test_tiff_files_that_are_not_plain_are_odd(tmp_path, options):
    data = np.zeros((32, 32), np.uint16)
    with pytest.raises(OddPictureError, match=r"a\.tiff"):
        plain_pages(str(save(tmp_path / "a.tiff", data, **options)))


def test_numpy_files_of_other_things_are_odd(tmp_path):
    for data in (np.array(["a"]), np.array([{}], object), np.ones((2, 3)).T):
        np.save(tmp_path / "a.npy", data)
        with pytest.raises(OddPictureError, match=r"a\.npy"):
            plain_pages(str(tmp_path / "a.npy"))
    (tmp_path / "a.npy").write_text("something else")
    with pytest.raises(OddPictureError, match="neither"):
        plain_pages(str(tmp_path / "a.npy"))


@pytest.mark.parametrize("kind", ["tiff", "npy"])
def test_a_file_that_is_being_written_is_not_complete_at_any_length(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    np.save(path, DATA) if kind == "npy" else save(path, DATA, metadata=None)
    whole = path.read_bytes()
    end_of_numbers = (
        len(whole) if kind == "npy" else max(p.offset + p.nbytes for p in plain_pages(path))
    )
    for length in range(0, end_of_numbers, 7):
        path.write_bytes(whole[:length])
        assert plain_pages(str(path)) == []


def test_damaged_tiff_files_are_odd_or_not_complete_but_never_an_accident(tmp_path):
    whole = bytearray(save(tmp_path / "a.tiff", DATA).read_bytes())
    random = np.random.default_rng(3)
    for _ in range(300):
        damaged = bytearray(whole)
        for place in random.integers(4, 400, 3):
            damaged[place] = random.integers(256)
        (tmp_path / "b.tiff").write_bytes(damaged)
        try:
            pages = plain_pages(str(tmp_path / "b.tiff"))
        except OddPictureError:
            continue
        assert all(page.offset + page.nbytes <= len(damaged) for page in pages)


def test_pages_that_go_in_circles_are_odd(tmp_path):
    path = tmp_path / "a.tiff"
    path.write_bytes(struct.pack("<2sHIHI", b"II", 42, 8, 0, 8))
    with pytest.raises(OddPictureError):
        plain_pages(str(path))


# ------------------------------------------------------------------------------------ mapped


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}])
def test_pages_are_mapped_and_not_copied(file, tmp_path, options):
    path = save(tmp_path / "a.tiff", DATA, **options)
    file.merge(stack(attributes={"units": "count"}))
    tell(file, point((path, 0)), point((path, 1)))
    found, external = end(file)
    assert np.array_equal(found, DATA)
    assert external
    with h5py.File(file.path, "r", locking=False) as other:
        assert other["x"].attrs["units"] == "count"


@pytest.mark.parametrize("copied", [False, True])
def test_a_point_may_have_several_pictures_in_one_file_or_several(file, tmp_path, copied):
    one = save(tmp_path / "one.tiff", DATA)
    two = save(tmp_path / "two.tiff", DATA + 100)
    file.merge(stack(copied=copied))
    tell(file, point((one, 0), (two, 1)), point((two, 0), (one, 1)))
    found, external = end(file)
    assert np.array_equal(found, [[DATA[0], DATA[1] + 100], [DATA[0] + 100, DATA[1]]])
    assert (external is None) is copied


@pytest.mark.parametrize("copied", [False, True])
def test_arrays_of_numpy_are_points(file, tmp_path, copied):
    paths = [tmp_path / f"{number}.npy" for number in range(3)]
    for number, path in enumerate(paths):
        np.save(path, DATA + number)
    file.merge(stack(copied=copied))
    tell(file, *(point((path, 0)) for path in paths))
    assert np.array_equal(end(file)[0], [DATA, DATA + 1, DATA + 2])


@pytest.mark.parametrize("copied", [False, True])
def test_points_show_up_to_the_first_file_that_is_late(file, tmp_path, copied):
    there, late = save(tmp_path / "a.tiff", DATA[0]), tmp_path / "b.tiff"
    file.merge(stack(copied=copied))
    tell(file, point((there, 0)), point((late, 0)), point((there, 0)))
    file.commit()
    with h5py.File(file.path, "r", locking=False) as other:
        assert np.array_equal(other["x"], [DATA[0]])
    assert file.missing_files("/x") == (str(late),)
    save(late, DATA[1])
    assert file.missing_files("/x") == ()
    assert np.array_equal(end(file)[0], DATA[[0, 1, 0]])


@pytest.mark.parametrize("copied", [False, True])
def test_a_file_that_never_comes_costs_its_own_point(file, tmp_path, copied):
    there, never = save(tmp_path / "a.tiff", DATA[1]), tmp_path / "b.tiff"
    file.merge(stack(copied=copied))
    tell(file, point((never, 0)), point((there, 0)), point((never, 0)))
    file.settle("/x")
    assert file.missing_files("/x") == (str(never),)
    found, _ = end(file)
    assert np.array_equal(found, [np.zeros((4, 6)), DATA[1], np.zeros((4, 6))])


def test_rows_between_points_read_as_zero(file, tmp_path):
    there = save(tmp_path / "a.tiff", DATA[1])
    file.merge(stack())
    file.locate("/x", 2, [point((there, 0))])
    assert np.array_equal(end(file)[0], [np.zeros((4, 6)), np.zeros((4, 6)), DATA[1]])


# ------------------------------------------------------------------------------- referred to


def texts(found):
    return [one.decode() for one in found.ravel()]


def test_without_any_file_texts_tell_where_they_should_be(file, tmp_path):
    file.merge(stack())
    tell(file, point((tmp_path / "a.tiff", 0)), point((tmp_path / "b.tiff", 3)))
    file.commit()
    found, _ = end(file)
    assert found.shape == (2, 1, 1)
    assert texts(found) == [f"{tmp_path}/a.tiff", f"{tmp_path}/b.tiff::3"]


def test_compressed_pictures_are_referred_to_with_a_notice(file, tmp_path):
    plain = save(tmp_path / "a.tiff", DATA[0])
    odd = save(tmp_path / "b.tiff", DATA[1], compression="zlib")
    file.merge(stack())
    tell(file, point((plain, 0)))
    file.commit()
    file.locate("/x", 1, [point((odd, 0))])
    file.commit()
    (remark,) = file.remarks()
    file.locate("/x", 2, [point((plain, 0))])
    found, _ = end(file)
    assert found.shape == (3, 1, 1)
    assert texts(found) == [str(plain), str(odd), str(plain)]
    assert "b.tiff: it is compressed; it holds references" in remark


def test_compressed_pictures_are_copied_on_request(file, tmp_path):
    paths = [save(tmp_path / f"{n}.tiff", DATA[n], compression="zlib") for n in (0, 1)]
    file.merge(stack(copied=True))
    tell(file, *(point((path, 0)) for path in paths))
    assert np.array_equal(end(file)[0], DATA)


def test_copies_of_pictures_that_are_not_alike_are_left_out_and_missed(file, tmp_path):
    one, two = save(tmp_path / "a.tiff", DATA[0]), save(tmp_path / "b.tiff", DATA[0, :2])
    junk = tmp_path / "c.tiff"
    junk.write_bytes(b"this is no picture")
    file.merge(stack(copied=True))
    tell(file, *(point((path, 0)) for path in (one, two, junk, one)))
    assert sorted(file.missing_files("/x")) == [str(two), str(junk)]
    found, _ = end(file)
    nothing = np.zeros((4, 6))
    assert np.array_equal(found, [DATA[0], nothing, nothing, DATA[0]])
    assert "b.tiff" in file.remarks()[0]


def test_pictures_that_are_not_alike_are_referred_to(file, tmp_path):
    one, two = save(tmp_path / "a.tiff", DATA[0]), save(tmp_path / "b.tiff", DATA[0, :2])
    file.merge(stack())
    tell(file, point((one, 0)))
    file.commit()
    file.locate("/x", 1, [point((two, 0))])
    assert texts(end(file)[0]) == [str(one), str(two)]


def test_more_pictures_than_hdf5_maps_are_referred_to(file, tmp_path):
    path = save(tmp_path / "a.tiff", DATA[0])
    file.merge(stack())
    tell(file, *[point((path, 0))] * MOST_RAW_FRAMES)
    file.commit()
    with h5py.File(file.path, "r", locking=False) as other:
        assert other["x"].shape == (MOST_RAW_FRAMES, 4, 6)
        assert np.array_equal(other["x"][-1], DATA[0])
    file.locate("/x", MOST_RAW_FRAMES, [point((path, 0))])
    assert end(file)[0].shape == (MOST_RAW_FRAMES + 1, 1, 1)


def test_a_channel_does_not_go_on_in_hdf5_files(file, tmp_path):
    file.merge(stack())
    with pytest.raises(DatasetError, match="HDF5 files"):
        file.locate("/x", 0, [FileBlock(str(tmp_path / "a.h5"), "/data", 0, 1)])


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_a_file_that_goes_away_before_it_is_copied_costs_its_own_points(file, tmp_path, options):
    paths = [save(tmp_path / f"{number}.tiff", DATA[number], **options) for number in (0, 1)]
    file.merge(stack(copied=True))
    tell(file, *(point((path, 0)) for path in (*paths, paths[0])))
    assert file.missing_files("/x") == ()
    paths[1].unlink()
    found, _ = end(file)
    assert np.array_equal(found, [DATA[0], np.zeros((4, 6)), DATA[0]])
    assert "1.tiff" in file.remarks()[0]


@pytest.mark.parametrize("copied", [False, True])
def test_a_file_to_which_pages_are_added_shows_those_that_it_has(file, tmp_path, copied):
    path = tmp_path / "a.tiff"
    save(path, DATA[:1])
    file.merge(stack(copied=copied))
    tell(file, point((path, 0)), point((path, 1)))
    file.commit()
    with h5py.File(file.path, "r", locking=False) as other:
        assert np.array_equal(other["x"], DATA[:1])
    assert file.missing_files("/x") == (str(path),)
    save(path, DATA)
    assert file.missing_files("/x") == ()
    assert np.array_equal(end(file)[0], DATA)


def test_names_of_files_may_be_any(file, tmp_path):
    folder = tmp_path / "\u00e9 %s %d{0}"
    folder.mkdir()
    path = save(folder / "a:b.tiff", DATA[0])
    file.merge(stack())
    tell(file, point((path, 0)))
    assert np.array_equal(end(file)[0], DATA[:1])
