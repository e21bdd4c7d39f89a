"""Local problems that are made, and weights that should agree."""

import numpy as np

from letkf_mpi.solvers import LocalProblem


def problem(p: int = 7, k: int = 5, inflation: float = 1.0, seed: int = 0, **changed) -> LocalProblem:
    rng = np.random.default_rng(seed)
    Y = rng.standard_normal((p, k))
    columns = dict(Y=Y - Y.mean(axis=1, keepdims=True), d=rng.standard_normal(p), variance=rng.uniform(0.5, 2.0, p),
                   taper=rng.uniform(0.1, 1.0, p), inflation=inflation)
    return LocalProblem(**(columns | changed))


def rows(whole: LocalProblem, index) -> LocalProblem:
    return LocalProblem(whole.Y[index], whole.d[index], whole.variance[index], whole.taper[index], whole.inflation)


def close(a, b, rtol=1e-10, atol=1e-12):
    np.testing.assert_allclose(a.mean, b.mean, rtol, atol)
    np.testing.assert_allclose(a.perturbations, b.perturbations, rtol, atol)
