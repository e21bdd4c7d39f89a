"""How well the ensemble fits the observations: statistics of departures by group.

Over the n rows of a group (`groups`), with o the observed value and
b, a the ensemble means of H(x) of background and analysis:

    omb_mean = mean(o − b)     omb_rms = √mean((o − b)²)     (the same with a: oma)
    background_spread = √mean(s_b²)     analysis_spread = √mean(s_a²)     error = √mean(σ_o²)

For a consistent background omb_rms² = background_spread² + error² (Desroziers et al. 2005, QJRMS 131, 3385, Eq. 1).
Groups can be added up: `Fit.total` weights means and mean squares by n.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from contracts.observations import Departures
from contracts.variables import Flag, Quantity
from verify import groups

MEANS = ("omb_mean", "oma_mean")
ROOT_MEAN_SQUARES = ("omb_rms", "oma_rms", "background_spread", "analysis_spread", "error")
KEYS = ("flag", "quantity", "type", "layer_lower", "layer_upper")


@dataclass(frozen=True)
class Fit:
    """A table of groups; every column (group,). Layers in Pa from below up, NaN for surface quantities."""

    flag: np.ndarray
    quantity: np.ndarray
    type: np.ndarray
    layer_lower: np.ndarray
    layer_upper: np.ndarray
    count: np.ndarray
    omb_mean: np.ndarray
    omb_rms: np.ndarray
    oma_mean: np.ndarray
    oma_rms: np.ndarray
    background_spread: np.ndarray
    analysis_spread: np.ndarray
    error: np.ndarray

    def __len__(self) -> int:
        return self.count.size

    @classmethod
    def join(cls, tables: Sequence["Fit"]) -> "Fit":
        """The groups of several times in one table."""
        return cls(**{column.name: np.concatenate([getattr(table, column.name) for table in tables])
                      for column in fields(cls)})

    def select(self, flag: Flag, quantity: Quantity) -> "Fit":
        """The groups of one fate and quantity."""
        which = (self.flag == flag) & (self.quantity == quantity)
        return Fit(**{column.name: getattr(self, column.name)[which] for column in fields(self)})

    def total(self) -> dict[str, float]:
        """All groups of this table as one: `count`, means and root mean squares; NaN where it is empty."""
        n = self.count.sum()
        if n == 0:
            return {"count": 0} | dict.fromkeys(MEANS + ROOT_MEAN_SQUARES, np.nan)
        weight = self.count / n
        means = {name: float(weight @ getattr(self, name)) for name in MEANS}
        roots = {name: float(np.sqrt(weight @ getattr(self, name) ** 2)) for name in ROOT_MEAN_SQUARES}
        return {"count": int(n)} | means | roots


def statistics(departures: Departures, layers_hpa: Sequence[float]) -> Fit:
    """Statistics of all rows that were compared with the model; `layers_hpa` are bounds from the ground upward."""
    table = groups.compared(departures)
    keys, which = np.unique(groups.keys(table, layers_hpa), axis=0, return_inverse=True)
    which, count = which.reshape(-1), np.bincount(which.reshape(-1), minlength=len(keys))

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(which, weights=values, minlength=len(keys)) / count

    omb, oma = table.value - table.background_mean, table.value - table.analysis_mean
    squares = {"omb_rms": omb, "oma_rms": oma, "background_spread": table.background_spread,
               "analysis_spread": table.analysis_spread, "error": table.error}
    lower, upper = groups.bounds(keys[:, 3], layers_hpa)
    return Fit(
        **dict(zip(KEYS[:3], keys[:, :3].T, strict=True)),
        layer_lower=lower,
        layer_upper=upper,
        count=count,
        omb_mean=mean(omb),
        oma_mean=mean(oma),
        **{name: np.sqrt(mean(np.asarray(values, np.float64) ** 2)) for name, values in squares.items()},
    )
