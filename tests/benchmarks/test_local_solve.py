"""The local solve beside the eigendecomposition that it contains: what is left is assembly and overhead.

    make bench        or        python -m pytest tests/benchmarks/test_local_solve.py --benchmark-enable
"""

import numpy as np
import pytest

from letkf_mpi.solvers import Letkf, LocalProblem

SIZES = [(k, p) for k in (20, 40, 80) for p in (50, 200, 1000)]


def problem(k: int, p: int) -> LocalProblem:
    """Perturbations of unit variance, errors of unit variance, weights between 0 and 1."""
    rng = np.random.default_rng(k * 10_000 + p)
    Y = rng.standard_normal((p, k))
    Y -= Y.mean(axis=1, keepdims=True)
    return LocalProblem(Y, rng.standard_normal(p), np.ones(p), rng.uniform(0.01, 1.0, p), 1.0)


@pytest.mark.parametrize(("k", "p"), SIZES)
def test_solve(benchmark, k, p):
    benchmark.group = f"local solve, k {k}, p {p}"
    weights = benchmark(Letkf().solve, problem(k, p))
    np.testing.assert_allclose(weights.perturbations.sum(axis=0), 1.0, rtol=1e-9)  # 1 is an eigenvector of W


@pytest.mark.parametrize(("k", "p"), SIZES)
def test_eigh_alone(benchmark, k, p):
    benchmark.group = f"local solve, k {k}, p {p}"
    made = problem(k, p)
    A = made.Y.T @ (made.rinv[:, None] * made.Y) + (k - 1) * np.eye(k)
    values, _ = benchmark(np.linalg.eigh, A)
    assert values[0] == pytest.approx(k - 1)
