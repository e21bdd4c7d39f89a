"""The local solve beside eigendecompositions; `python -m tests.benchmarks.local_solve` prints the table.

    make bench        or        python -m pytest tests/benchmarks/test_local_solve.py --benchmark-enable
"""

import numpy as np
import pytest

from letkf_mpi.kernel import lanes
from tests.benchmarks import floors, local_solve

SIZES = [(20, 200), (40, 200), (80, 200)]
needs_kernel = pytest.mark.skipif(lanes.compiled() is None, reason="the compiled kernel could not be built")


@needs_kernel
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("rows", local_solve.ROWS_OF_A_SITE)
@pytest.mark.parametrize(("k", "p"), SIZES)
def test_kernel(benchmark, k, p, rows, precision):
    benchmark.group = f"{local_solve.LEVELS * local_solve.COLUMNS} local solves, k {k}, p {p}"
    benchmark.extra_info[f"{precision} flops"] = floors.flops_of_solves(k, p, rows)
    found = benchmark(local_solve.kernel(k, p, precision, rows)[0])
    assert (found.count == p).all() and (found.signal > 0).all()


@pytest.mark.parametrize(("k", "p"), SIZES)
@pytest.mark.parametrize("contestant", [local_solve.per_point, local_solve.batched, local_solve.ssyevd])
def test_eigendecomposition(benchmark, k, p, contestant):
    benchmark.group = f"{local_solve.COLUMNS} local solves by eigh, k {k}, p {p}"
    benchmark(contestant(k, p)[0])


@needs_kernel
def test_contestants_agree():
    table, taper = local_solve.made(20, 50)
    mean, W = local_solve.batched(20, 50)[0]()
    points = local_solve.per_point(20, 50)[0]()
    single = local_solve.ssyevd(20, 50)[0]()
    found = lanes.weights(table.Y, table.d, table.variance, taper, np.ones(local_solve.COLUMNS))
    np.testing.assert_allclose(W, [point.perturbations for point in points], atol=1e-12)
    np.testing.assert_allclose(mean[..., 0], [point.mean for point in points], atol=1e-12)
    np.testing.assert_allclose(found.perturbations, W, atol=1e-5)
    np.testing.assert_allclose([point[0] for point in single], mean[..., 0], atol=1e-5)
    np.testing.assert_allclose([point[1] for point in single], W, atol=1e-5)


@needs_kernel
def test_whole_analysis(benchmark):
    benchmark.group = "96 x 48 x 7, 10 816 observations"
    benchmark.pedantic(local_solve.whole_analysis(48, 96)[0], rounds=3)
