"""Values that detectors write to files of their own: mapped, waited for, missed, referred to."""

import os

import h5py
import numpy as np
import pytest
import tifffile
from tests.support_bluesky import Run, feed, values
from tests.support_detector_files import (
    SHAPE,
    STREAMED,
    frames,
    only,
    save,
    stored,
    stream_datum,
    stream_resource,
)

from nexus_writer_service.bluesky import NXWriter
from nexus_writer_service.model.verdict import Outcome

IMAGE = {"dtype": "array", "shape": [1, *SHAPE], "external": "FILESTORE:"}


@pytest.fixture(autouse=True)
def one_file(writer, tmp_path):
    writer.file_name = tmp_path / "run.h5"


def resource(run, path, number=0, /, spec="AD_HDF5", **settings):
    return "resource", {
        "uid": f"res{number}",
        "spec": spec,
        "root": os.path.dirname(path),
        "resource_path": os.path.basename(path),
        "resource_kwargs": settings,
        "path_semantics": "posix",
        "run_start": run.uid,
    }


def datum(number, resource_number=0, **settings):
    settings = settings or {"point_number": number}
    return "datum", {
        "datum_id": f"res{resource_number}/{number}",
        "resource": f"res{resource_number}",
        "datum_kwargs": settings,
    }


def points(run, descriptor, numbers, resource_number=0):
    for number in numbers:
        yield datum(number, resource_number)
        yield run.event(descriptor, cam=f"res{resource_number}/{number}")


def test_frames_are_mapped_and_not_copied(writer, tmp_path):
    save(tmp_path / "cam.h5", frames(4))
    run = Run(detectors=["cam"])
    descriptor = run.descriptor({"cam": IMAGE})
    feed(writer, [run.start(), descriptor, resource(run, tmp_path / "cam.h5")])
    feed(writer, [*points(run, descriptor, range(4)), run.stop()])
    result = only(writer.wait_writer())
    assert result.ok
    assert result.verdict.channels[0].external == (str(tmp_path / "cam.h5"),)
    found, virtual = stored(result)
    assert virtual
    assert np.array_equal(found, frames(4))
    with h5py.File(result.file) as file:
        assert file["entry/data"].attrs["signal"] == "cam"
        assert list(file["entry/data"].attrs["axes"]) == ["EPOCH", ".", "."]


def test_several_frames_at_each_point_have_an_axis_of_their_own(writer, tmp_path):
    save(tmp_path / "cam.h5", frames(6))
    run = Run(detectors=["cam"])
    descriptor = run.descriptor({"cam": {**IMAGE, "shape": [3, *SHAPE]}})
    feed(writer, [run.start(), descriptor, resource(run, tmp_path / "cam.h5", frame_per_point=3)])
    feed(writer, [*points(run, descriptor, range(2)), run.stop()])
    found, _ = stored(only(writer.wait_writer()))
    assert np.array_equal(found, frames(6).reshape(2, 3, *SHAPE))


def test_a_detector_may_begin_another_file(writer, tmp_path):
    save(tmp_path / "one.h5", frames(2))
    save(tmp_path / "two.h5", frames(2, first=2))
    run = Run(detectors=["cam"])
    descriptor = run.descriptor({"cam": IMAGE})
    feed(writer, [run.start(), descriptor, resource(run, tmp_path / "one.h5")])
    feed(writer, points(run, descriptor, range(2)))
    feed(writer, [resource(run, tmp_path / "two.h5", 1), *points(run, descriptor, range(2), 1)])
    feed(writer, [run.stop()])
    result = only(writer.wait_writer())
    assert result.ok
    assert np.array_equal(stored(result)[0], frames(4))


def test_a_file_for_each_frame_is_found_by_its_template(writer, tmp_path):
    for number in range(3):
        save(tmp_path / f"cam_{number:04d}.h5", frames(1, first=number))
    run = Run(detectors=["cam"])
    descriptor = run.descriptor({"cam": IMAGE})
    single = resource(
        run, tmp_path, spec="AD_HDF5_SINGLE", template="%s%s_%4.4d.h5", filename="cam"
    )
    feed(writer, [run.start(), descriptor, single, *points(run, descriptor, range(3)), run.stop()])
    result = only(writer.wait_writer())
    assert result.ok
    assert np.array_equal(stored(result)[0], frames(3))


def test_a_file_that_comes_late_is_waited_for(writer, tmp_path):
    run = Run(detectors=["cam"])
    descriptor = run.descriptor({"cam": {**IMAGE, "shape": [1, 1, 1]}})  # the file knows better
    feed(writer, [run.start(), descriptor, resource(run, tmp_path / "cam.h5")])
    feed(writer, [*points(run, descriptor, range(2)), run.stop()])
    with pytest.raises(TimeoutError):
        writer.wait_writer(0.3)
    save(tmp_path / "cam.h5", frames(2))
    result = only(writer.wait_writer())
    assert result.ok
    assert np.array_equal(stored(result)[0], frames(2))


@pytest.mark.nonconforming("the file of the detector never comes")
def test_a_file_that_never_comes_is_missed_by_name(writer, tmp_path):
    writer._external_file_read_timeout = 0.2
    run = Run()
    descriptor = run.descriptor({"cam": IMAGE, "det": {}})
    begin = [run.start(), descriptor, resource(run, tmp_path / "cam.h5"), datum(0)]
    feed(writer, [*begin, run.event(descriptor, cam="res0/0", det=1.0), run.stop()])
    result = only(writer.wait_writer())
    assert result.verdict.outcome is Outcome.INCOMPLETE
    assert f"missing files: {tmp_path / 'cam.h5'}" in result.verdict.summary
    with h5py.File(result.file) as file:
        assert values(file, "det").tolist() == [1]


@pytest.mark.parametrize("each", [1, 2])
def test_frames_are_copied_on_request(writer, tmp_path, each):
    writer.copy_external_files = True
    run = Run(detectors=["cam"])
    descriptor = run.descriptor({"cam": {**IMAGE, "shape": [each, *SHAPE]}})
    told = [resource(run, tmp_path / f"{n}.h5", n, frame_per_point=each) for n in (0, 1)]
    save(tmp_path / "1.h5", frames(4 * each, first=4 * each))
    feed(writer, [run.start(), descriptor, *told, *points(run, descriptor, range(4))])
    feed(writer, [*points(run, descriptor, range(4), 1), run.stop()])
    with pytest.raises(TimeoutError):
        writer.wait_writer(0.3)  # the first file is late
    save(tmp_path / "0.h5", frames(4 * each))
    result = only(writer.wait_writer())
    assert result.ok
    for number in (0, 1):
        (tmp_path / f"{number}.h5").unlink()
    found, virtual = stored(result)
    assert not virtual
    expected = frames(8 * each)
    assert np.array_equal(found, expected if each == 1 else expected.reshape(8, 2, *SHAPE))


def test_paths_of_another_machine_are_mapped(writer, tmp_path):
    save(tmp_path / "cam.h5", frames(1))
    writer.path_map = {"/ioc": "/nowhere", "/ioc/data": str(tmp_path)}
    run = Run(detectors=["cam"])
    descriptor = run.descriptor({"cam": IMAGE})
    feed(writer, [run.start(), descriptor, resource(run, "/ioc/data/cam.h5")])
    feed(writer, [*points(run, descriptor, [0]), run.stop()])
    assert only(writer.wait_writer()).ok


def test_a_subclass_may_tell_the_file_of_a_resource(tmp_path):
    class Mapped(NXWriter):
        def getResourceFile(self, resource_id):  # noqa: N802 - the name that they know
            return tmp_path / super().getResourceFile(resource_id).name

    save(tmp_path / "cam.h5", frames(1))
    writer = Mapped()
    writer.file_name = tmp_path / "run.h5"
    run = Run(detectors=["cam"])
    descriptor = run.descriptor({"cam": IMAGE})
    feed(writer, [run.start(), descriptor, resource(run, "/ioc/data/cam.h5")])
    feed(writer, [*points(run, descriptor, [0]), run.stop()])
    assert only(writer.wait_writer()).ok


# ------------------------------------------------------------------------ TIFF and NumPy files


def tiff_run(writer, folder, count, each=1):
    run = Run(detectors=["cam"])
    descriptor = run.descriptor({"cam": {**IMAGE, "shape": [each, *SHAPE]}})
    settings = {"template": "%s%s_%6.6d.tiff", "filename": "cam", "frame_per_point": each}
    tiff = resource(run, folder, spec="AD_TIFF", **settings)
    feed(writer, [run.start(), descriptor, tiff, *points(run, descriptor, range(count))])
    feed(writer, [run.stop()])


def save_tiff(folder, number, **options):
    data = frames(1, first=number)[0]
    tifffile.imwrite(folder / f"cam_{number:06d}.tiff", data, photometric="minisblack", **options)


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize("each", [1, 2])
def test_tiff_files_are_mapped_or_copied(writer, tmp_path, each, copied):
    writer.copy_external_files = copied
    for number in range(4):
        save_tiff(tmp_path, number)
    tiff_run(writer, tmp_path, 4 // each, each)
    result = only(writer.wait_writer())
    assert result.ok
    assert bool(result.verdict.channels[0].external) is not copied
    expected = frames(4) if each == 1 else frames(4).reshape(2, 2, *SHAPE)
    assert np.array_equal(stored(result)[0], expected)
    with h5py.File(result.file) as file:
        assert (file["entry/data/cam"].external is None) is copied
        assert file["entry/data"].attrs["signal"] == "cam"


def test_a_tiff_file_that_comes_late_is_waited_for(writer, tmp_path):
    save_tiff(tmp_path, 0)
    tiff_run(writer, tmp_path, 2)
    with pytest.raises(TimeoutError):
        writer.wait_writer(0.3)
    save_tiff(tmp_path, 1)
    result = only(writer.wait_writer())
    assert result.ok
    assert np.array_equal(stored(result)[0], frames(2))


def test_compressed_tiff_files_are_referred_to_with_a_warning(writer, tmp_path):
    for number in range(2):
        save_tiff(tmp_path, number, compression="zlib")
    tiff_run(writer, tmp_path, 2)
    result = only(writer.wait_writer())
    assert result.ok
    assert "it is compressed; it holds references" in " ".join(result.verdict.warnings)
    names = [str(tmp_path / f"cam_{number:06d}.tiff") for number in range(2)]
    with h5py.File(result.file) as file:
        assert file["entry/data/cam"].asstr()[()].ravel().tolist() == names


def test_tiff_files_that_never_come_are_missed_and_referred_to(writer, tmp_path):
    writer._external_file_read_timeout = 0.2
    tiff_run(writer, tmp_path / "tiffs", 2)
    result = only(writer.wait_writer())
    assert result.verdict.outcome is Outcome.INCOMPLETE
    names = [str(tmp_path / f"tiffs/cam_{number:06d}.tiff") for number in range(2)]
    assert f"missing files: {', '.join(names)}" in result.verdict.summary
    with h5py.File(result.file) as file:
        assert file["entry/data/cam"].asstr()[()].ravel().tolist() == names


@pytest.mark.parametrize("copied", [False, True])
def test_numpy_files_are_mapped_or_copied(writer, tmp_path, copied):
    writer.copy_external_files = copied
    run = Run(detectors=["cam"])
    descriptor = run.descriptor({"cam": {**IMAGE, "shape": list(SHAPE)}})
    told = resource(run, tmp_path / "img", spec="NPY_SEQ")
    feed(writer, [run.start(), descriptor, told])
    for number in range(3):
        np.save(tmp_path / f"img_{number}.npy", frames(1, first=number)[0].astype(float))
        feed(writer, [datum(number, index=number), run.event(descriptor, cam=f"res0/{number}")])
    feed(writer, [run.stop()])
    result = only(writer.wait_writer())
    assert result.ok
    assert np.array_equal(stored(result)[0], frames(3))


@pytest.mark.parametrize(("each", "in_file"), [(1, 1), (1, 2), (2, 2), (2, 1), (4, 2), (1, 4)])
def test_streamed_tiff_files_have_as_many_pages_as_chunks_have_frames(
    writer, tmp_path, each, in_file
):
    for number in range(4 // in_file):
        data = frames(in_file, first=number * in_file)
        tifffile.imwrite(tmp_path / f"{number:03d}.tiff", data, photometric="minisblack")
    run = Run(detectors=["cam"])
    descriptor = run.descriptor({"cam": {**STREAMED, "shape": [each, *SHAPE]}})
    told = stream_resource(
        run,
        tmp_path,
        mimetype="multipart/related;type=image/tiff",
        parameters={"template": "{:03d}.tiff", "chunk_shape": (in_file, *SHAPE)},
    )
    feed(writer, [run.start(), descriptor, told, stream_datum(descriptor, 0, 4 // each)])
    feed(writer, [run.stop(num_events={"primary": 4 // each})])
    result = only(writer.wait_writer())
    assert result.ok
    expected = frames(4) if each == 1 else frames(4).reshape(-1, each, *SHAPE)
    assert np.array_equal(stored(result)[0], expected)


def test_a_frame_that_no_document_tells_of_is_a_row_without_value(writer, tmp_path):
    save(tmp_path / "cam.h5", frames(3))
    run = Run(detectors=["cam"])
    descriptor = run.descriptor({"cam": IMAGE})
    feed(writer, [run.start(), descriptor, resource(run, tmp_path / "cam.h5")])
    first, last = [*points(run, descriptor, [0])], [*points(run, descriptor, [2])]
    last[1][1]["seq_num"] = 3
    lost = run.event(descriptor, 2, cam="res0/1")
    feed(writer, [*first, lost, *last, run.stop(num_events={"primary": 3})])
    result = only(writer.wait_writer())
    assert "points 1 to 1 lost" in result.verdict.summary
    assert "no datum document res0/1 was received" in result.verdict.warnings[0]
    found, _ = stored(result)
    assert np.array_equal(found[[0, 2]], frames(3)[[0, 2]])
