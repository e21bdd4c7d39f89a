"""What the network is told of the place: fields that do not change, (plane, lat, lon)."""

from collections.abc import Mapping

import numpy as np

from networks.card import Card
from networks.normalization import LAND_SEA_MASK, OROGRAPHY

COUNT = 4


def of(card: Card, constants: Mapping[str, np.ndarray]) -> np.ndarray:
    """Orography and land, normalised as the card says, and where a row stands between the poles: sine and cosine of
    latitude."""
    grid = card.horizontal
    latitude = np.deg2rad(grid.column_lat).reshape(grid.shape)
    still = [(constants[name] - card.normalization[name].mean) / card.normalization[name].std
             for name in (OROGRAPHY, LAND_SEA_MASK)]
    return np.stack([*still, np.sin(latitude), np.cos(latitude)]).astype(np.float32)
