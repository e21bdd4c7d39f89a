"""How well the ensemble fits the observations: statistics of departures by group.

A group is fate x quantity x report type x pressure layer; the fates that are compared with the model are assimilated,
withheld and monitored, and they are never mixed.  Over the n rows of a group, with o the observed value and
b, a the ensemble means of H(x) of background and analysis:

    omb_mean = mean(o − b)     omb_rms = √mean((o − b)²)     (the same with a: oma)
    background_spread = √mean(s_b²)     analysis_spread = √mean(s_a²)     error = √mean(σ_o²)

For a consistent background omb_rms² = background_spread² + error² (Desroziers et al. 2005, QJRMS 131, 3385, Eq. 1).
Groups can be added up: `Fit.total` weights means and mean squares by n.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from contracts.constants import HECTOPASCAL
from contracts.observations import Departures
from contracts.variables import Flag, Quantity

COMPARED = (Flag.assimilated, Flag.withheld, Flag.monitored)
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
                      for column in fields(cls)})  # fmt: skip

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
    """Statistics of all rows that were compared with the model; `layers_hpa` are bounds from the ground upward.

    A row outside all layers stands in the nearest one, so that no compared observation is left out.
    """
    compared = departures.select(
        np.isin(departures.flag, COMPARED)
        & np.isfinite(departures.background_mean)
        & np.isfinite(departures.analysis_mean)
    )
    layer = _layer(compared, np.asarray(layers_hpa) * HECTOPASCAL)
    keys = np.stack([compared.flag, compared.quantity, compared.type, layer], axis=1).astype(np.int64)
    groups, which = np.unique(keys, axis=0, return_inverse=True)
    which, count = which.reshape(-1), np.bincount(which.reshape(-1), minlength=len(groups))

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(which, weights=values, minlength=len(groups)) / count

    omb, oma = compared.value - compared.background_mean, compared.value - compared.analysis_mean
    squares = {"omb_rms": omb, "oma_rms": oma, "background_spread": compared.background_spread,
               "analysis_spread": compared.analysis_spread, "error": compared.error}  # fmt: skip
    bounds = np.append(np.asarray(layers_hpa) * HECTOPASCAL, np.nan)  # layer -1 finds the NaN
    return Fit(
        **dict(zip(KEYS[:3], groups[:, :3].T, strict=True)),
        layer_lower=bounds[groups[:, 3]],
        layer_upper=np.where(groups[:, 3] < 0, np.nan, bounds[groups[:, 3] + 1]),
        count=count,
        omb_mean=mean(omb),
        oma_mean=mean(oma),
        **{name: np.sqrt(mean(np.asarray(values, np.float64) ** 2)) for name, values in squares.items()},
    )


def _layer(table: Departures, bounds: np.ndarray) -> np.ndarray:
    """(nobs,) number of the layer from the ground upward, -1 for a surface quantity; `bounds` Pa descending."""
    surface = np.isin(table.quantity, [quantity for quantity in Quantity if quantity.at_surface])
    pressure = np.where(np.isfinite(table.pressure), table.pressure, bounds[0])
    above_ground = np.searchsorted(-bounds, -pressure, side="right") - 1  # the upper bound belongs to the layer above
    return np.where(surface, -1, np.clip(above_ground, 0, bounds.size - 2))
