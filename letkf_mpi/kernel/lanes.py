"""The LETKF of a whole tile by the compiled kernel (`_lanes.c`): what `letkf` defines, many times faster.

Sixteen columns are solved in lock-step, one in each lane of a vector, without eigenvalues:

    A = I + β/(k−1) Yᵀ (R⁻¹ρ) Y = Q T Qᵀ                     Householder; T tridiagonal, least eigenvalue 1
    W = √β Q f(T) Qᵀ,    f(T) ≈ Σ_j c_j (T + s_j I)⁻¹         poles of `quadrature` for Gershgorin's bound of T
    w̄ = Q T⁻¹ Qᵀ · β/(k−1) Yᵀ (R⁻¹ρ) d

The rows of a site share their horizontal taper h, so that those of a site with several are summed once for all lanes:

    A = I + β/(k−1) Σ_site h(site, column) G(site, level),    G = Σ_rows v R⁻¹ y yᵀ,  v the vertical taper

W is applied to the columns' channels as Q, f(T) and Qᵀ and is not formed.  A lane's poles are its own and no sum
mixes lanes, so that a column's bits depend neither on its tile nor on the ranks; they may differ in the last place
between instruction sets.

In single precision the error of W grows as 5e-8 κ.  Points whose condition number may exceed `SINGLE_UP_TO` are solved
in double precision, so that it stays below 5e-6; `python -m letkf_mpi.kernel.accuracy` tells it.
"""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from contracts.errors import UserError
from letkf_mpi.kernel import quadrature
from letkf_mpi.kernel.tapers import Fit
from letkf_mpi.local.selection import Limit
from letkf_mpi.shares import ByShares, alone
from letkf_mpi.solvers.base import Weights

log = logging.getLogger(__name__)
INSTRUCTIONS = "LETKF_INSTRUCTIONS"  # environment variable: "avx512", "avx2" or "baseline" instead of the fastest
SINGLE_UP_TO = 64.0
_SINGLE_ERROR, _DOUBLE_ERROR = 3e-8, 1e-15  # of the quadrature
_RELAXATIONS = ("none", "rtpp", "rtps")
HUMIDITY = {"none": 0, "not_negative": 1, "kept": 2}


@cache
def compiled() -> ModuleType | None:
    """The kernel, or None and one warning where it could not be built."""
    try:
        from letkf_mpi.kernel import _lanes
    except ImportError as error:
        log.warning("local analyses without the compiled kernel, 20 to 40 times slower (%s); install a C compiler and "
                    "install again, or set kernel = \"reference\" in [analysis.solver]", error)
        return None
    return _lanes


def instructions() -> tuple[str, ...]:
    """Instruction sets that this machine can run, the fastest first."""
    kernel = compiled()
    return tuple(kernel.instructions()) if kernel else ()


def chosen_instructions() -> str:
    """The fastest that this machine can run, or what the environment names; raises UserError where that cannot run."""
    known = instructions()
    chosen = os.environ.get(INSTRUCTIONS) or known[0]
    if chosen not in known:
        raise UserError(f"{INSTRUCTIONS}: expected one of {', '.join(known)}, which this machine has, got {chosen!r}; "
                        "unset it to have the fastest")
    return chosen


def refuse_mixed(of_ranks: Sequence[str]) -> None:
    """Raises UserError where the ranks' instruction sets differ: the bits would depend on who solves which tile."""
    if len(set(of_ranks)) > 1:
        got = ", ".join(f"{name} on {of_ranks.count(name)} rank(s)" for name in sorted(set(of_ranks)))
        raise UserError(f"the analysis has other bits on other processors, and the fastest instructions are {got}: set "
                        f"{INSTRUCTIONS} to one that all have")


@dataclass(frozen=True)
class Observations:
    """`Y` (n, k), `d` and `variance` (n,); `rows` (n,) of the table site by site, from `first_row` (site + 1,) on."""

    Y: np.ndarray
    d: np.ndarray
    variance: np.ndarray
    rows: np.ndarray
    first_row: np.ndarray

    def packed(self, part: slice) -> tuple[np.ndarray, ...]:
        """1/σ and d/σ (n,); d²/σ² and |Y|²/(k−1)σ² (n,) site by site; a part of each."""
        sigma, rows = np.sqrt(self.variance[part]), self.rows[part]
        Y, d, variance = self.Y[rows], self.d[rows], self.variance[rows]
        power = np.einsum("pk,pk->p", Y, Y) / (Y.shape[1] - 1) / variance
        return 1.0 / sigma, self.d[part] / sigma, d**2 / variance, power


@dataclass(frozen=True)
class Channels:
    """Groups of channels that the same observations update.

    `level` (group,), ascending; whether each `sees` a row (group, n); its channels, those from `first` (group + 1,) on
    in `number`; `humidity` (channel,), see HUMIDITY.
    """

    level: np.ndarray
    sees: np.ndarray
    first: np.ndarray
    number: np.ndarray
    humidity: np.ndarray

    @classmethod
    def single(cls, rows: int) -> "Channels":
        """One channel that sees every row."""
        none = np.zeros(1, dtype=int)
        return cls(none, np.ones((1, rows), bool), np.arange(2), none, none)


@dataclass(frozen=True)
class Geometry:
    """`points` (site, 3) of the sites on the unit sphere and their horizontal taper."""

    points: np.ndarray
    taper: Fit

    @property
    def packed(self) -> tuple[Any, ...]:
        return np.ascontiguousarray(self.points, dtype=np.float64), self.taper.packed


@dataclass(frozen=True)
class Method:
    """How to solve and relax; see `letkf.Letkf` and `relaxation`."""

    precision: str = "float32"
    noobs_transform: str = "identity"
    relaxation: str = "none"
    alpha: float = 0.0

    @property
    def packed(self) -> tuple[Any, ...]:
        return (self.precision == "float32", self.noobs_transform == "allones", _RELAXATIONS.index(self.relaxation),
                self.alpha, SINGLE_UP_TO)


@dataclass(frozen=True, kw_only=True)
class TileAnalysis:
    """What the kernel gives: analysis `X` float32 (k, channel, column) and what is told of it.

    By (level, column): `count` of local observations, the sums `weight` Σρ, `square` Σρd²/R and `power`
    Σρ/R Y²/(k−1), degrees of freedom for `signal`, `relaxation` factor, how many were `left_out` for nearer ones.
    By (channel, column), of X as written: `mean`, `spread`, `least`, `most`; of the background `background_spread`.
    `clipped` (column,).
    """

    X: np.ndarray
    count: np.ndarray
    weight: np.ndarray
    square: np.ndarray
    power: np.ndarray
    signal: np.ndarray
    relaxation: np.ndarray
    left_out: np.ndarray
    background_spread: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    least: np.ndarray
    most: np.ndarray
    clipped: np.ndarray

    # in the order in which _lanes.c fills them
    BY_LEVEL: ClassVar = ("count", "weight", "square", "power", "signal", "relaxation", "left_out")
    BY_CHANNEL: ClassVar = ("background_spread", "mean", "spread", "least", "most")


class Lanes:
    """The kernel with what all tiles share; `vertical(rows)` (level, r) taper.  Safe to use from several threads.

    Without a geometry tiles come with their horizontal tapers.
    """

    def __init__(self, observations: Observations, vertical: Callable[[np.ndarray], np.ndarray], channels: Channels,
                 method: Method, limits: Sequence[Limit] = (), geometry: Geometry | None = None,
                 by_shares: ByShares = alone):
        kernel = compiled()
        if kernel is None:
            raise RuntimeError("the compiled kernel is not there")
        self._kernel, self._method = kernel, method.packed
        self._instructions = chosen_instructions()
        rows = observations.rows

        def prepare(part: slice) -> Sequence[np.ndarray]:
            return (*observations.packed(part), vertical(rows[part]), channels.sees[:, rows[part]].astype(np.uint8))

        *packed, tapers, sees = (np.ascontiguousarray(made) for made in by_shares(rows.size, prepare))
        self._shape = tapers.shape[0], channels.number.size
        self._members = observations.Y.shape[1]
        self._shared = self._kernel.prepare(
            self._members, tapers.shape[0], (np.ascontiguousarray(observations.Y, dtype=np.float64), *packed),
            _integers(rows, observations.first_row), tapers,
            (sees, channels.sees.all(axis=1).astype(np.uint8),
             *_integers(channels.level, channels.first, channels.number)),
            channels.humidity.astype(np.uint8),
            tuple(_integers(limit.number[observations.rows], limit.most_of_each) for limit in limits),
            geometry.packed if geometry else (),
            _poles(_SINGLE_ERROR), _poles(_DOUBLE_ERROR))

    def analyse(self, site: np.ndarray, where: np.ndarray, inflation: np.ndarray, X: np.ndarray) -> TileAnalysis:
        """A tile of columns at the points `where` (column, 3), whose observations are among those of `site` (s,), or,
        without a geometry, with horizontal tapers `where` (s, column); background `X` float32 (k, channel, column), not
        copied if columns lie side by side; β (level, column)."""
        levels, channels = self._shape
        width = X.shape[-1]
        if X.dtype != np.float32 or X.strides[-1] != X.itemsize:
            X = np.ascontiguousarray(X, dtype=np.float32)
        by_level = {name: np.empty((levels, width)) for name in TileAnalysis.BY_LEVEL}
        by_channel = {name: np.empty((channels, width)) for name in TileAnalysis.BY_CHANNEL}
        clipped, analysis = np.zeros(width, np.int64), np.empty((self._members, channels, width), np.float32)
        self._kernel.analyse(self._instructions, self._shared, self._method,
                             (site, where, np.ascontiguousarray(inflation, dtype=np.float64), X),
                             tuple(by_level.values()), tuple(by_channel.values()), (clipped, analysis))
        return TileAnalysis(X=analysis, clipped=clipped, **by_level, **by_channel)

    def weights(self, taper: np.ndarray, inflation: np.ndarray) -> Weights:
        """w̄ (column, k) and W (column, k, k) of columns that see every row with `taper` (n, column); β (column,)."""
        width, k = inflation.size, self._members
        found = Weights(np.empty((width, k)), np.empty((width, k, k)))
        self._kernel.weights(self._instructions, self._shared, self._method,
                             np.ascontiguousarray(taper, dtype=np.float64), np.asarray(inflation, dtype=np.float64),
                             found.mean, found.perturbations)
        return found


def weights(Y: np.ndarray, d: np.ndarray, variance: np.ndarray, taper: np.ndarray, inflation: np.ndarray,
            precision: str = "float32") -> Weights:
    """w̄ (column, k) and W (column, k, k) of columns that see the same observations, `Y` (p, k), with their own `taper`
    (p, column) and β (column,)."""
    p = len(d)
    table = Observations(Y, d, variance, np.arange(p), np.arange(p + 1))
    shared = Lanes(table, lambda rows: np.ones((1, rows.size)), Channels.single(p), Method(precision))
    return shared.weights(taper, inflation)


def _integers(*columns: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(np.ascontiguousarray(column, dtype=np.int64) for column in columns)


@cache
def _poles(tolerance: float) -> tuple[np.ndarray, ...]:
    poles = quadrature.table(tolerance)
    return (*_integers(poles.order), poles.shift, poles.weight)
