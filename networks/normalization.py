"""What makes fields comparable: mean and standard deviation of each, and the standard deviation of its tendency."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from contracts.config import PositiveFloat, Section

LAND_SEA_MASK, OROGRAPHY, LATITUDE = "land_sea_mask", "orography", "latitude"
CONSTANTS = (LAND_SEA_MASK, OROGRAPHY, LATITUDE)  # 0 … 1, m, degrees north: inputs that do not change in time


class Moments(Section, frozen=True):
    """Of one field, in its own units; `tendency_std` is that of its change over the model's step."""

    mean: float
    std: PositiveFloat
    tendency_std: PositiveFloat | None = None

    def __post_init__(self):
        if not np.isfinite([self.mean, self.std, self.tendency_std or 0.0]).all():
            raise ValueError(f"mean, std and tendency_std must be finite, got {self}")


def columns(moments: Mapping[str, Moments], names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of `names`, float32 (name, 1, 1) each."""
    table = np.array([(moments[name].mean, moments[name].std) for name in names], np.float32)
    return table[:, 0, None, None], table[:, 1, None, None]


@dataclass
class Accumulator:
    """Area-weighted mean and variance over time and place, in float64, from pieces (time, channel, lat, lon).

    Squares are summed about the first piece's mean, so that geopotential keeps its digits (shifted-data formula,
    Chan, Golub & LeVeque 1983).
    """

    weights: np.ndarray  # (lat, lon), mean 1
    shift: np.ndarray | None = None  # (channel,)
    count: int = 0
    sums: np.ndarray | float = 0.0
    squares: np.ndarray | float = 0.0

    def add(self, fields: np.ndarray) -> None:
        weights = self.weights / self.weights.size
        fields = fields.astype(np.float64)
        if self.shift is None:
            self.shift = np.einsum("tcyx,yx->c", fields, weights) / len(fields)
        fields -= self.shift[:, None, None]
        self.count += len(fields)
        self.sums = self.sums + np.einsum("tcyx,yx->c", fields, weights)
        self.squares = self.squares + np.einsum("tcyx,tcyx,yx->c", fields, fields, weights, optimize=True)

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (channel,); ValueError if nothing was added."""
        if self.shift is None:
            raise ValueError("no field was added")
        mean = np.asarray(self.sums) / self.count
        return self.shift + mean, np.sqrt(np.maximum(np.asarray(self.squares) / self.count - mean**2, 0.0))


def of_constants(fields: Mapping[str, np.ndarray], weights: np.ndarray) -> dict[str, Moments]:
    """Moments of fields that do not change; a field without variation counts as it is, with std 1."""
    found = {}
    for name, field in fields.items():
        sums = Accumulator(weights)
        sums.add(np.asarray(field)[None, None])
        (mean,), (std,) = sums.result()
        found[name] = Moments(mean=float(mean), std=float(std) if std > 1e-9 * (1 + abs(mean)) else 1.0)
    return found


def refuse_missing(moments: Mapping[str, Moments], names: Iterable[str]) -> None:
    """Raises ValueError that names what has no moments."""
    missing = [name for name in names if name not in moments]
    if missing:
        raise ValueError(f"normalization lacks mean and std of {', '.join(missing)}")
