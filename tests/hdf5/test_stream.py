import h5py
import numpy as np
import pytest
from tests.support_hdf5 import read_elsewhere, root, run_python, stream
from tests.support_streams import make, result

from nexus_writer_service.errors import DatasetError
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.model.tree import Filters

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")


DTYPES = [
    *("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"),
    *(">i4", ">f8", "?", "c8", "c16", "S5"),
]


@pytest.mark.parametrize("sample", [(), (3,), (2, 3)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_points_of_every_type_come_back_as_they_were(tmp_path, dtype, sample):
    file = NexusFile.open(str(tmp_path / "file.h5"))
    random = np.random.default_rng(1)
    points = random.integers(0, 128, (7, *sample)).astype(dtype)
    make(file, stream(dtype, sample))
    file.append("/d", 0, [points[:3]])
    file.commit()
    file.append("/d", 3, [points[3:]])
    found = result(file)
    assert found.dtype == points.dtype
    np.testing.assert_array_equal(found, points)


@pytest.mark.parametrize("dtype", ["O", "U7"])
def test_points_may_be_text(file, dtype):
    make(file, stream(dtype, (2,)))
    texts = np.array([["a", "é"], ["", "long text"]])
    file.append("/d", 0, [texts.astype(dtype), texts.astype(object)])
    file.close()
    with h5py.File(file.path) as reader:
        assert reader["d"].asstr()[...].tolist() == texts.astype(dtype).tolist() + texts.tolist()


def test_another_byte_order_or_memory_layout_is_the_same_point(file):
    make(file, stream("<i4", (2, 3)))
    points = np.arange(12, dtype="<i4").reshape(2, 2, 3)
    file.append("/d", 0, [points.astype(">i4"), np.asfortranarray(points), points[:, ::-1]])
    expected = np.concatenate([points, points, points[:, ::-1]])
    np.testing.assert_array_equal(result(file), expected)


def test_points_show_to_others_after_a_commit_and_not_before(file):
    make(file, stream())
    file.append("/d", 0, [np.arange(2.0)])
    file.commit()
    assert read_elsewhere(file.path, "/d") == [[0, 1]]
    file.append("/d", 2, [np.arange(2.0, 4.0)])
    assert file.dirty
    assert read_elsewhere(file.path, "/d") == [[0, 1]]
    file.commit()
    assert not file.dirty
    assert read_elsewhere(file.path, "/d") == [[0, 1, 2, 3]]


def test_a_stream_begins_without_points_and_can_grow_in_all_directions(file):
    make(file, stream(sample=(-1, 3), attributes={"units": "mm"}))
    file.close()
    with h5py.File(file.path) as reader:
        assert reader["d"].shape == (0, 0, 3)
        assert reader["d"].maxshape == (None, None, None)
        assert reader["d"].attrs["units"] == "mm"


# ------------------------------------------------------------------------------------- indexes


def test_appending_again_changes_nothing(file):
    make(file, stream())
    file.append("/d", 0, [np.arange(5.0)])
    file.append("/d", 0, [np.full(5, -1.0)])
    file.append("/d", 3, [np.array([-1, -1, 5, 6.0])])
    assert file.length("/d") == 7
    file.commit()
    file.append("/d", 0, [np.full(7, -1.0)])
    assert not file.dirty
    assert file.buffered_bytes == 0
    assert result(file).tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_points_that_overlap_across_batches_are_skipped_by_their_index(file):
    make(file, stream())
    file.append("/d", 0, [np.arange(5.0)])
    file.append("/d", 2, [np.full(2, -1.0), np.array([-1, 5, 6.0]), np.array([7.0])])
    assert result(file).tolist() == [0, 1, 2, 3, 4, 5, 6, 7]


def test_a_gap_reads_as_fill_and_later_points_keep_their_index(file):
    make(file, stream(fill=np.nan))
    file.append("/d", 2, [np.array([2.0])])
    file.append("/d", 5, [np.array([5.0])])
    assert file.length("/d") == 6
    np.testing.assert_array_equal(result(file), [np.nan, np.nan, 2, np.nan, np.nan, 5])


def test_a_gap_without_fill_value_reads_zero(file):
    make(file, stream("i4"))
    file.append("/d", 1, [np.array([7], "i4")])
    assert result(file).tolist() == [0, 7]


@pytest.mark.parametrize(
    ("dtype", "fill"), [("?", True), ("c8", 1 + 2j), ("c8", np.nan), ("f2", np.nan), ("u8", 5)]
)
def test_fill_values_of_every_type(file, dtype, fill):
    make(file, stream(dtype, fill=fill))
    file.append("/d", 1, [np.zeros(1, dtype)])
    np.testing.assert_array_equal(result(file)[0], np.array(fill, dtype))


def test_nothing_to_append_is_nothing(file):
    make(file, stream())
    file.commit()
    file.append("/d", 5, [])
    file.append("/d", 5, [np.zeros(0)])
    assert file.length("/d") == 0
    assert not file.dirty


# -------------------------------------------------------------------------------------- ragged


def test_a_varying_sample_is_as_long_as_the_longest_and_filled(file):
    make(file, stream(sample=(-1,), fill=-1))
    file.append("/d", 0, [np.array([[1.0, 2]]), np.array([[3.0, 4, 5], [6, 7, 8]])])
    file.commit()
    file.append("/d", 3, [np.array([[9.0]]), np.zeros((1, 0))])
    assert result(file).tolist() == [
        [1, 2, -1], [3, 4, 5], [6, 7, 8], [9, -1, -1], [-1, -1, -1],
    ]  # fmt: skip


def test_varying_samples_may_have_several_axes(file):
    make(file, stream("i4", (-1, 2, -1)))
    rng = np.random.default_rng(0)
    samples = [rng.integers(1, 9, shape, "i4") for shape in [(2, 2, 1), (1, 2, 3), (3, 2, 2)]]
    file.append("/d", 0, [sample[np.newaxis] for sample in samples])
    expected = np.zeros((3, 3, 2, 3), "i4")
    for index, sample in enumerate(samples):
        expected[index][tuple(slice(n) for n in sample.shape)] = sample
    np.testing.assert_array_equal(result(file), expected)


# --------------------------------------------------------------------------------------- misfits


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros(2, "f4"),
        np.zeros(2, "i8"),
        np.zeros((2, 1)),
        np.zeros(()),
        np.array(["a"]),
        np.array([1.0], dtype=object),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_points_that_do_not_fit_are_refused_and_none_of_the_call_is_taken(file, wrong):
    make(file, stream())
    file.append("/d", 0, [np.zeros(1)])
    with pytest.raises(DatasetError, match=r"/d.*announced"):
        file.append("/d", 1, [np.ones(3), wrong])
    assert file.length("/d") == 1
    file.append("/d", 1, [np.ones(1)])
    assert result(file).tolist() == [0, 1]


def test_a_fixed_axis_beside_a_varying_one_must_fit(file):
    make(file, stream(sample=(-1, 3)))
    file.append("/d", 0, [np.zeros((1, 7, 3))])
    with pytest.raises(DatasetError, match="shape"):
        file.append("/d", 1, [np.zeros((1, 7, 4))])


def test_numbers_are_not_text(file):
    make(file, stream("U"))
    for wrong in (np.zeros(1), np.array([1], dtype=object)):
        with pytest.raises(DatasetError, match="text"):
            file.append("/d", 0, [wrong])


def test_an_unknown_dataset_is_refused(file):
    file.merge(root(d=stream()))
    for call in (
        lambda: file.append("/x", 0, [np.zeros(1)]),
        lambda: file.extend("/d", 1),
        lambda: file.missing_files("/d"),
        lambda: file.length("/x"),
    ):
        with pytest.raises(DatasetError, match="merge it first"):
            call()


# ---------------------------------------------------------------------------- chunks and filters


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        (Filters(), []),
        (Filters(gzip=4), [1]),
        (Filters(shuffle=True), [2]),
        (Filters(shuffle=True, gzip=1), [2, 1]),
        (Filters(bitshuffle=True), [32008]),
        (Filters(bitshuffle=True, bitshuffle_lz4=True), [32008]),
        (Filters(bitshuffle=True, bitshuffle_zstd=3), [32008]),
        (Filters(zstd=3), [32015]),
        (Filters(shuffle=True, zstd=3), [2, 32015]),
        (Filters(blosc2="lz4"), [32026]),
        (Filters(blosc2="zstd"), [32026]),
    ],
    ids=str,
)
def test_filters_are_applied_and_a_plain_reader_understands_them(file, filters, ids):
    make(file, stream("i4", (16,), chunks=(8, 16), filters=filters))
    points = np.arange(20 * 16, dtype="i4").reshape(20, 16)
    for start in range(0, 20, 3):
        file.append("/d", start, [points[start : start + 3]])
        file.commit()
    file.close()
    with h5py.File(file.path) as reader:
        properties = reader["d"].id.get_create_plist()
        found = [properties.get_filter(i) for i in range(properties.get_nfilters())]
        assert [one[0] for one in found] == ids
        if filters.bitshuffle_zstd is not None:
            assert found[0][2][-2:] == (3, filters.bitshuffle_zstd)
        elif filters.bitshuffle:
            assert found[0][2][-1] == (2 if filters.bitshuffle_lz4 else 0)
    code = "import sys, h5py, hdf5plugin; print(h5py.File(sys.argv[1])['d'][...].sum())"
    assert int(run_python(code, file.path).stdout) == points.sum()


def test_text_is_never_filtered(file):
    make(file, stream("U", filters=Filters(gzip=1)))
    file.close()
    with h5py.File(file.path) as reader:
        assert reader["d"].compression is None


@pytest.mark.parametrize(
    ("node", "chunks"),
    [
        (stream(chunks=(256,)), (256,)),
        (stream(chunks=(0,)), (1,)),
        (stream(sample=(0,), chunks=(4, 0)), (4, 1)),
        (stream(), (512,)),
        (stream(sample=(-1,)), (256, 512)),
        (stream("u2", (2048, 2048)), (1, 256, 2048)),
        (stream(scan=(3, 4)), (3, 4)),
    ],
)
def test_chunks_are_those_of_the_layout_or_about_a_mebibyte(file, node, chunks):
    make(file, node)
    file.close()
    with h5py.File(file.path) as reader:
        assert reader["d"].chunks == chunks


def test_chunks_of_another_rank_are_a_problem(file):
    (problem,) = file.merge(root(d=stream(chunks=(4, 4))))
    assert "/d" in problem
    assert "one length per axis" in problem


# ---------------------------------------------------------------------------------------- memory


def test_buffered_bytes_are_those_that_wait(file):
    make(file, stream())
    file.append("/d", 0, [np.zeros(10)])
    assert file.buffered_bytes == 80
    file.append("/d", 5, [np.zeros(10)])
    assert file.buffered_bytes == 120
    file.commit()
    assert file.buffered_bytes == 0


def test_much_waiting_is_written_by_whole_chunks_before_the_commit(file):
    points = np.arange(1 << 20, dtype="f8")
    make(file, stream(chunks=(1000,), filters=Filters(gzip=1)))
    for start in range(0, len(points), 10_007):
        file.append("/d", start, [points[start : start + 10_007]])
        assert file.buffered_bytes < 5 << 20
    assert file.buffered_bytes > 0
    np.testing.assert_array_equal(result(file), points)


def test_chunks_larger_than_what_may_wait_are_written_in_parts(file):
    make(file, stream("u1", chunks=(1 << 26,)))
    block = np.arange(1 << 23, dtype="u1")
    for index in range(6):
        file.append("/d", index << 23, [block])
        assert file.buffered_bytes <= 40 << 20
    np.testing.assert_array_equal(result(file), np.tile(block, 6))


def test_early_writing_respects_gaps_and_grids(file):
    make(file, stream("i4", scan=(10, 1000, 100), chunks=(1, 1000, 100), fill=-1))
    points = np.arange(3 << 20, dtype="i4")
    for start in (0, 200_000, 700_000, 1_500_000):
        file.append("/d", start + 50, [points[start : start + 450_000]])
    found = result(file).ravel()
    expected = np.full(found.size, -1, "i4")
    for start in (1_500_000, 700_000, 200_000, 0):
        expected[start + 50 : start + 450_050] = points[start : start + 450_000]
    np.testing.assert_array_equal(found, expected)


# ------------------------------------------------------------------------------------------ ends


def test_a_settled_stream_is_written_and_forgotten(file):
    make(file, stream())
    file.append("/d", 0, [np.arange(3.0)])
    file.settle("/d")
    file.commit()
    with pytest.raises(DatasetError):
        file.length("/d")
    assert read_elsewhere(file.path, "/d") == [[0, 1, 2]]


def test_settling_concerns_what_is_at_or_below_a_path(file):
    file.merge(root(a=root(b=stream()), aa=stream()))
    file.settle("/a")
    file.commit()
    assert file.length("/aa") == 0
    with pytest.raises(DatasetError):
        file.length("/a/b")
    file.merge(root(a=root(b=stream())))
    assert file.length("/a/b") == 0


@pytest.mark.parametrize("text", ["zero \0 inside", "lone \udc80 surrogate"])
def test_points_that_hdf5_refuses_cost_their_dataset_and_nothing_else(file, text):
    file.merge(root(d=stream(), text=stream("U")))
    file.append("/text", 0, [np.array(["good"])])
    file.commit()
    file.append("/text", 1, [np.array([text])])
    file.append("/d", 0, [np.arange(3.0)])
    file.commit()
    assert not file.dirty
    assert read_elsewhere(file.path, "/d", "/text")[0] == [0, 1, 2]
    (problem,) = file.merge(root())
    assert "/text" in problem
    assert file.merge(root()) == ()
    with pytest.raises(DatasetError, match="/text"):
        file.append("/text", 2, [np.array(["more"])])
    file.append("/d", 3, [np.arange(1.0)])
    file.commit()
    assert read_elsewhere(file.path, "/d") == [[0, 1, 2, 0]]
