"""Groups of observations: fate x quantity x report type x pressure layer.

The fates that are compared with the model are assimilated, withheld and monitored; they are never mixed.
"""

from collections.abc import Sequence

import numpy as np

from contracts.constants import HECTOPASCAL
from contracts.observations import Departures
from contracts.variables import Flag

COMPARED = (Flag.assimilated, Flag.withheld, Flag.monitored)
KEYS = ("flag", "quantity", "type", "layer")


def compared(departures: Departures) -> Departures:
    """The rows that were compared with the model."""
    return departures.select(
        np.isin(departures.flag, COMPARED)
        & np.isfinite(departures.background_mean)
        & np.isfinite(departures.analysis_mean)
    )


def keys(table: Departures, layers_hpa: Sequence[float]) -> np.ndarray:
    """(nobs, 4) the group of each row; its layer counts from the ground upward, -1 for a surface quantity.

    `layers_hpa` are bounds from the ground upward.  A row outside all layers stands in the nearest one, so that no
    compared observation is left out.
    """
    layer = _layer(table, np.asarray(layers_hpa) * HECTOPASCAL)
    return np.stack([table.flag, table.quantity, table.type, layer], axis=1).astype(np.int64)


def bounds(layer: np.ndarray, layers_hpa: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bound of layers in Pa, NaN for surface quantities."""
    pressure = np.append(np.asarray(layers_hpa) * HECTOPASCAL, np.nan)  # layer -1 finds the NaN
    return pressure[layer], np.where(layer < 0, np.nan, pressure[layer + 1])


def _layer(table: Departures, bounds: np.ndarray) -> np.ndarray:
    """(nobs,) number of the layer from the ground upward, -1 for a surface quantity; `bounds` Pa descending."""
    pressure = np.where(np.isfinite(table.pressure), table.pressure, bounds[0])
    above_ground = np.searchsorted(-bounds, -pressure, side="right") - 1  # the upper bound belongs to the layer above
    return np.where(table.at_surface, -1, np.clip(above_ground, 0, bounds.size - 2))
