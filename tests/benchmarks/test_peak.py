"""What one core does at its best, which the floors of the other benchmarks are taken from."""

import numpy as np
import pytest

from tests.benchmarks.floors import UNITS

SIZE, BYTES = 512, 2**21


@pytest.mark.parametrize("unit", UNITS)
def test_peak(benchmark, unit):
    """A product of matrices, and a copy within the caches."""
    benchmark.group = f"peak, {unit}"
    if unit == "bytes":
        source, target = np.ones(BYTES, np.uint8), np.zeros(BYTES, np.uint8)
        benchmark.extra_info[unit] = 2 * BYTES
        benchmark(np.copyto, target, source)
        assert target.all()
        return
    one, other = (np.random.default_rng(seed).standard_normal((SIZE, SIZE)).astype(unit.split()[0]) for seed in (0, 1))
    benchmark.extra_info[unit] = 2 * SIZE**3
    found = benchmark(np.matmul, one, other)
    assert found.dtype == unit.split()[0]
    np.testing.assert_allclose(found[0], one[0].astype(float) @ other.astype(float), atol=1e-3)
