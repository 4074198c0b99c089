"""Numbers of every type, from their bytes in Redis to a plain reader of the file."""

from typing import Any

import h5py
import msgpack
import numpy as np
import pytest
from tests.support_bliss_documents import document
from tests.support_scan_writer import Bench

from nexus_writer_service.model.description import ChannelName, ScanKey
from nexus_writer_service.model.events import Points, Sealed
from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.service.scan_writer import ScanWriter
from nexus_writer_service.sources.bliss.scan_info import describe
from nexus_writer_service.sources.bliss.streams import SEAL_ID, follow_stream

KEY = ScanKey("esrf:scan:01")
DTYPES = (
    *("|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8"),
    *("<f2", "<f4", "<f8", "<f16", "<c8", "<c16", "<c32"),
    *(">i2", ">u4", ">f8", ">c16"),
)


def published(tmp_path: Any, dtype: str, shape: tuple[int, ...], **info: Any) -> dict[str, Any]:
    """The document of a scan with one channel."""
    found = document(
        "x",
        acquisition_chain={"timer": {"devices": ["1:x"]}},
        devices={"1:x": {"name": "x", "channels": ["ctl:x"], "triggered_devices": []}},
        channels={"ctl:x": {"device": "1:x", "dim": len(shape)}},
        filename=str(tmp_path / "data.h5"),
        **info,
    )
    encoding = {"type": "numeric", "dtype_str": dtype, "shape": list(shape)}
    found["data_streams"]["ctl:x"]["encoding"] = encoding
    return found


def written(tmp_path: Any, found: dict[str, Any], *entries: list[Any]) -> Bench:
    """The file after these entries of the stream."""
    bench = Bench(tmp_path)
    bench.scan, warnings = describe(KEY, found)
    assert warnings == ()
    bench.writer = ScanWriter(bench.scan, bench.around, wanted=True)
    bench.prepare()
    about = found["data_streams"]["ctl:x"]
    stream = follow_stream(KEY, ChannelName("ctl:x"), about["encoding"], about["info"])
    for entry in entries:
        for event in stream.receive([entry]):
            assert isinstance(event, Points | Sealed)
            bench.writer.feed(event)
        bench.settle()
    bench.end()
    bench.settle_until_over()
    assert bench.status.verdict.outcome is Outcome.COMPLETE, bench.status.verdict.summary
    return bench


def entry(index: int, payload: bytes, count: int) -> list[Any]:
    return [b"%d-1" % index, [b"payload", payload, b"len", b"%d" % count]]


def seal(count: int) -> list[Any]:
    return [SEAL_ID, [b"id", b"%d" % count]]


def numbers(dtype: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    random = np.random.default_rng(len(dtype) + sum(shape))
    bits = random.integers(0, 200, shape)
    return (bits % 2 if dtype == "|b1" else bits % 127).astype(dtype)


def stored(bench: Bench) -> Any:
    with h5py.File(bench.path) as file:
        return file["4.1/instrument/x/data"][...]


@pytest.mark.parametrize("chunks", [{}, {"compression_limit_nbytes": 0}], ids=["plain", "gzip"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_of_every_type_are_in_the_file_as_they_were_published(
    tmp_path, dtype, shape, chunks
):
    points = numbers(dtype, (5, *shape))
    found = published(tmp_path, dtype, shape, npoints=5, writer_options={"chunk_options": chunks})
    entries = [entry(0, points[:2].tobytes(), 2), entry(2, points[2:].tobytes(), 3), seal(5)]
    data = stored(written(tmp_path, found, *entries))
    assert data.dtype == np.dtype(dtype)
    assert np.array_equal(data, points)


@pytest.mark.parametrize("dtype", DTYPES)
def test_spectra_of_varying_length_are_padded_to_the_longest(tmp_path, dtype):
    points = [numbers(dtype, (1, length)) for length in (2, 4, 3)]
    entries = [
        entry(index, msgpack.packb((one.shape[1:], one.tobytes())), 1)
        for index, one in enumerate(points)
    ]
    data = stored(written(tmp_path, published(tmp_path, dtype, (-1,)), *entries, seal(3)))
    assert data.shape == (3, 4)
    fill = np.nan if data.dtype.kind == "f" else 0
    for row, one in zip(data, points, strict=True):
        assert np.array_equal(row[: one.shape[1]], one[0])
        rest = row[one.shape[1] :]
        assert np.array_equal(rest, np.full(rest.shape, fill, data.dtype), equal_nan=fill != 0)


def test_images_of_varying_shape_are_padded_along_every_axis(tmp_path):
    points = [numbers("<f4", (1, rows, columns)) for rows, columns in ((2, 3), (1, 4), (3, 1))]
    entries = [
        entry(index, msgpack.packb((one.shape[1:], one.tobytes())), 1)
        for index, one in enumerate(points)
    ]
    data = stored(written(tmp_path, published(tmp_path, "<f4", (-1, -1)), *entries, seal(3)))
    assert data.shape == (3, 3, 4)
    for image, one in zip(data, points, strict=True):
        rows, columns = one.shape[1:]
        assert np.array_equal(image[:rows, :columns], one[0])
        assert np.isnan(image).sum() == 12 - rows * columns


def test_a_stream_without_points_has_no_dataset(tmp_path):
    bench = written(tmp_path, published(tmp_path, "<f8", ()), seal(0))
    with h5py.File(bench.path) as file:
        assert "x" not in file["4.1/instrument"]
        assert "measurement" not in file["4.1"]
