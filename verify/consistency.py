"""Whether the ensemble and the errors given agree with the innovations: the observations' own judgement.

With o the observed value, b and a the ensemble means of H(x) of background and analysis, s their spreads, and σ_o the
error given, averages over the rows of a group estimate (Desroziers et al. 2005, QJRMS 131, 3385)

    σ_o² = mean((o − a)(o − b))        the observation error                 (Eq. 2)
    σ_b² = mean((a − b)(o − b))        the background error in observation space   (Eq. 1)
    σ_a² = mean((a − b)(o − a))        the analysis error in observation space      (Eq. 3)
    consistency = mean((o − b)²) / (mean(s_b²) + mean(σ_o²))     1 where the spread is right, above it where too small

The first three hold for observations that made the analysis; of others only the consistency is told.  A negative
average of products says that gain and errors do not fit; its root is NaN.

The rank of an observation among the members is uniform for a reliable ensemble: a U shape tells of too little
spread, a dome of too much, a slope of bias (Hamill 2001, MWR 129, 550).  Spread tells of skill where, over cases of
like spread (bins of s_b/σ_o), √(mean((o − b)²) − mean(σ_o²)) is √((k+1)/k) times the spread (Fortin et al. 2014,
JHM 15, 1708).

Sums are kept for each fate, quantity, report type, layer and bin of spread, so that times and groups add up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from contracts.observations import Departures
from verify import groups

KEYS = (*groups.KEYS, "spread_bin")
SUMS = ("count", "omb", "omb_omb", "oma_omb", "amb_omb", "amb_oma", "background_variance", "analysis_variance",
        "error_variance")
SPREAD_BINS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)  # bounds of s_b / σ_o; the first bin is below, the last above them all


@dataclass(frozen=True)
class Sums:
    """`keys` (group, key) as in KEYS, `sums` (group, sum) as in SUMS, `ranks` (group, k + 1) counts of each rank."""

    keys: np.ndarray
    sums: np.ndarray
    ranks: np.ndarray

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def of(cls, departures: Departures, layers_hpa: Sequence[float], members: int) -> Self:
        """Over the rows of one time that were compared with the model."""
        table = groups.compared(departures)
        omb, oma = table.value - table.background_mean, table.value - table.analysis_mean
        error = table.error.astype(np.float64)
        columns = (np.ones(len(table)), omb, omb**2, oma * omb, (omb - oma) * omb, (omb - oma) * oma,
                   table.background_spread**2, table.analysis_spread**2, error**2)
        bins = np.searchsorted(SPREAD_BINS, table.background_spread / error, side="right")
        ranks = table.background_rank[:, None] == np.arange(members + 1)
        keys = np.column_stack([groups.keys(table, layers_hpa), bins])
        return cls._added(keys, np.column_stack(columns), ranks.astype(np.int64))

    @classmethod
    def join(cls, times: Sequence["Sums"]) -> Self:
        """Several times as one; they must have as many members."""
        keys, sums, ranks = (np.concatenate([getattr(one, name) for one in times])
                             for name in ("keys", "sums", "ranks"))
        return cls._added(keys, sums, ranks)

    @classmethod
    def _added(cls, keys: np.ndarray, sums: np.ndarray, ranks: np.ndarray) -> Self:
        distinct, which = np.unique(keys, axis=0, return_inverse=True)
        which = which.reshape(-1)

        def add(parts: np.ndarray) -> np.ndarray:
            whole = np.zeros((len(distinct), parts.shape[1]), parts.dtype)
            np.add.at(whole, which, parts)
            return whole

        return cls(distinct, add(sums), add(ranks))

    def by(self, *names: str) -> "dict[tuple[int, ...], Statistics]":
        """Statistics for each combination of these keys, ascending, over all of the other keys."""
        columns = self.keys[:, [KEYS.index(name) for name in names]]
        return {tuple(int(code) for code in key): self._total((columns == key).all(axis=1))
                for key in np.unique(columns, axis=0)}

    def _total(self, which: np.ndarray) -> "Statistics":
        return Statistics(dict(zip(SUMS, self.sums[which].sum(axis=0), strict=True)), self.ranks[which].sum(axis=0))


@dataclass(frozen=True)
class Statistics:
    """What one group says: its `sums` by name, and `ranks` (k + 1,)."""

    sums: dict[str, float]
    ranks: np.ndarray

    def mean(self, name: str) -> float:
        return self.sums[name] / self.sums["count"]

    def root(self, name: str) -> float:
        """Root of a mean of squares or products, NaN where that is negative."""
        value = self.mean(name)
        return float(np.sqrt(value)) if value >= 0 else float("nan")

    @property
    def count(self) -> int:
        return int(self.sums["count"])

    @property
    def error_factor(self) -> float:
        """The estimated observation error over the given one, NaN where the estimate is none."""
        return self.root("oma_omb") / self.root("error_variance")

    @property
    def consistency(self) -> float:
        return self.mean("omb_omb") / (self.mean("background_variance") + self.mean("error_variance"))

    @property
    def skill(self) -> float:
        """RMS error of the background's mean without the observation's part, NaN where nothing is left."""
        value = self.mean("omb_omb") - self.mean("error_variance")
        return float(np.sqrt(value)) if value >= 0 else float("nan")

    @property
    def adjusted_spread(self) -> float:
        """Background spread that a reliable ensemble of this size would have as `skill`."""
        k = self.ranks.size - 1
        return self.root("background_variance") * float(np.sqrt((k + 1) / k))

    @property
    def outside(self) -> float:
        """Observations below or above all members, relative to the 2/(k + 1) of a reliable ensemble."""
        total = self.ranks.sum()
        return float((self.ranks[0] + self.ranks[-1]) / total * self.ranks.size / 2) if total else float("nan")

    @property
    def mean_rank(self) -> float:
        """Mean rank over k: 0.5 without bias, above where observations lie above the members."""
        total = self.ranks.sum()
        return float(self.ranks @ np.arange(self.ranks.size) / total / (self.ranks.size - 1)) if total else float("nan")
