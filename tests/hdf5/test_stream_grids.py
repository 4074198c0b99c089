"""Points of grid scans: their place in the shape of the grid."""

import numpy as np
import pytest
from tests.support_hdf5 import root, stream
from tests.support_streams import make, result

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")


@pytest.mark.parametrize("sample", [(), (2,)])
@pytest.mark.parametrize("scan", [(2, 3), (2, 2, 3)])
def test_a_grid_has_its_full_shape_from_the_start_and_fills_in_c_order(file, scan, sample):
    make(file, stream(sample=sample, scan=scan, fill=-1))
    points = np.arange(5.0 * np.prod(sample, dtype=int)).reshape(5, *sample)
    for index in range(5):
        file.append("/d", index, [points[index : index + 1]])
    found = result(file)
    assert found.shape == (*scan, *sample)
    flat = found.reshape(-1, *sample)
    np.testing.assert_array_equal(flat[:5], points)
    assert (flat[5:] == -1).all()


def test_more_points_than_announced_make_the_slow_axis_grow(file):
    make(file, stream(scan=(4, 5), fill=np.nan))
    file.append("/d", 0, [np.arange(23.0)])
    found = result(file)
    assert found.shape == (5, 5)
    np.testing.assert_array_equal(found.ravel()[:23], np.arange(23))
    assert np.isnan(found.ravel()[23:]).all()


def test_a_gap_in_a_grid_reads_as_fill(file):
    make(file, stream("i4", scan=(2, 3), fill=-1))
    file.append("/d", 4, [np.array([4, 5, 6], "i4")])
    assert result(file).tolist() == [[-1, -1, -1], [-1, 4, 5], [6, -1, -1]]


def test_varying_samples_in_a_grid(file):
    make(file, stream("i4", (-1,), scan=(2, 2)))
    file.append("/d", 0, [np.full((1, 1), 1, "i4"), np.full((2, 3), 2, "i4")])
    assert result(file).tolist() == [[[1, 0, 0], [2, 2, 2]], [[2, 2, 2], [0, 0, 0]]]


def test_a_grid_axis_without_points_is_a_problem(file):
    (problem,) = file.merge(root(d=stream(scan=(5, 0))))
    assert "/d" in problem
    assert "numbers of points" in problem
