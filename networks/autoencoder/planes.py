"""What the convolutions are told of the place: fields that do not change."""

from collections.abc import Mapping

import numpy as np

from networks.card import Card
from networks.normalization import LAND_SEA_MASK, OROGRAPHY


def planes(card: Card, constants: Mapping[str, np.ndarray]) -> np.ndarray:
    """(plane, lat, lon) orography and land, normalised as the card says, sine and cosine of latitude."""
    grid = card.horizontal
    latitude = np.deg2rad(grid.column_lat).reshape(grid.shape)
    moments = card.normalization
    still = [(constants[name] - moments[name].mean) / moments[name].std for name in (OROGRAPHY, LAND_SEA_MASK)]
    return np.stack([*still, np.sin(latitude), np.cos(latitude)]).astype(np.float32)
