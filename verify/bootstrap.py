"""Intervals of means over blocks by the bootstrap: what is said of a difference without saying how it is distributed.

    m*  = mean of n blocks drawn with replacement from the n that there are      (Efron 1979, Ann. Stat. 7, 1)
    low, high = quantiles a, 1 - a of m*,    Phi^-1(a) = - sqrt(n / (n - 1)) t(0.975, n - 1)

The usual a = 0.025 is too narrow for few blocks, by a third for five: draws from n blocks vary by (n - 1)/n of what
they should, and nobody knows their variance.  The a above makes good for both ("expanded percentile interval":
Hesterberg 2015, Am. Stat. 69, 371) and is 0.025 again for many blocks.  No draw lies outside the blocks themselves, so
that of n independent ones no interval covers more often than 1 - 2^(1 - n): 94 per cent for five, 75 for three; of
five Gaussian ones this one covers 92, the usual one 84.

Differences are paired: whole blocks of all experiments are drawn together, the same days and the same weather for each.
"""

import numpy as np

LEAST = 5  # blocks; of fewer nothing is said
DRAWS = 20_000
SEED = 1


def interval(values: np.ndarray) -> np.ndarray:
    """(2, …) low and high of the mean over blocks; `values` (block, …), paired along the other axes.

    Raises ValueError where there are fewer than two blocks.
    """
    from scipy.stats import norm, t  # here, because it takes half a second that other commands save

    n = len(values)
    if n < 2:
        raise ValueError(f"an interval over blocks needs at least two, got {n}")
    tail = norm.cdf(-np.sqrt(n / (n - 1)) * t.ppf(0.975, n - 1))
    means = draws(n, DRAWS) @ values.reshape(n, -1) / n
    return np.quantile(means, [tail, 1 - tail], axis=0).reshape(2, *values.shape[1:])


def draws(n: int, size: int) -> np.ndarray:
    """(size, n) how often each of `n` things stands in each of so many draws of n with replacement."""
    return np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), size=size)
