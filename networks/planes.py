"""What the network is told of the place: fields that do not change, (plane, lat, lon)."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from networks import season
from networks.card import Card
from networks.normalization import LAND_SEA_MASK, OROGRAPHY

COUNT = 4
DATE = 2  # numbers of the year that a network is told: its first harmonic


def of(card: Card, constants: Mapping[str, np.ndarray]) -> np.ndarray:
    """Orography and land, normalised as the card says, and where a row stands between the poles: sine and cosine of
    latitude."""
    grid = card.horizontal
    latitude = np.deg2rad(grid.column_lat).reshape(grid.shape)
    still = [(constants[name] - card.normalization[name].mean) / card.normalization[name].std
             for name in (OROGRAPHY, LAND_SEA_MASK)]
    return np.stack([*still, np.sin(latitude), np.cos(latitude)]).astype(np.float32)


def dated(still: Tensor, seconds: np.ndarray) -> Tensor:
    """(B, DATE + plane, lat, lon): the date of each of `seconds` (B,), and what is `still` (plane, lat, lon)."""
    date = torch.tensor(season.basis(seconds, 1 + DATE)[:, 1:], dtype=still.dtype, device=still.device)
    date = date[..., None, None].expand(-1, -1, *still.shape[1:])
    return torch.cat([date, still.expand(len(date), -1, -1, -1)], dim=1)
