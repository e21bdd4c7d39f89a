"""What a model of others is fed with, by the names of its inputs: channels, earlier ones, constants, forcings.

    temperature_850               a channel of the present state
    temperature_850_before        of the state one step earlier, for a model that reads two
    orography, land_sea_mask, latitude         m, 0 … 1, degrees north: they do not change
    insolation, sine_of_year, …   what is known of any time (`forcings`)

Each is normalised, (x - mean) / std, where moments of it are given.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from contracts.errors import unknown
from contracts.grid import Grid
from contracts.static import Static
from contracts.variables import VARIABLES, Channel
from networks import forcings, normalization
from networks.forcings import FORCINGS
from networks.normalization import CONSTANTS, LAND_SEA_MASK, LATITUDE, OROGRAPHY, Moments

BEFORE = "_before"
PLAIN = Moments(mean=0.0, std=1.0)


def channel_of(name: str) -> str:
    """The channel that an input is made of, of whichever time; nothing where it is no channel."""
    return "" if name in CONSTANTS or name in FORCINGS else name.removesuffix(BEFORE)


def is_before(name: str) -> bool:
    """Whether an input is a channel one step earlier."""
    return name.endswith(BEFORE)


def refuse_unknown(names: Iterable[str], of_channels: bool = False) -> None:
    """Raises ValueError on a name that is no input, or, with `of_channels`, no channel of the present state."""
    for name in names:
        channel = name if of_channels else channel_of(name)
        if (channel or of_channels) and not is_channel(channel):
            others = [] if of_channels else [*CONSTANTS, *FORCINGS]
            raise ValueError(unknown("field", name, [*others, *(f"{one}_LEVEL" if variable.on_levels else one
                                                                for one, variable in VARIABLES.items())]))


def is_channel(name: str) -> bool:
    """Whether a channel is called so: `2m_temperature`, or `temperature_850`, with the level in hPa."""
    if name in VARIABLES:
        return not VARIABLES[name].on_levels
    variable, _, level = name.rpartition("_")
    try:
        return VARIABLES[variable].on_levels and Channel(variable, 100.0 * float(level)).name == name
    except (KeyError, ValueError):
        return False


@dataclass(frozen=True)
class Feed:
    """The inputs `names` in their order, of states with `channels` on `grid`; `static` where a name asks for it."""

    names: tuple[str, ...]
    channels: tuple[str, ...]
    grid: Grid
    moments: Mapping[str, Moments]
    static: Static | None = None

    def __post_init__(self):
        missing = [name for name in self.names if (channel := channel_of(name)) and channel not in self.channels]
        if missing:
            raise ValueError(f"it is fed with {', '.join(missing)}, which [state] does not hold")
        if self.static is None and {OROGRAPHY, LAND_SEA_MASK} & set(self.names):
            raise ValueError("it is fed with orography or land_sea_mask, and its card names no static file")

    def __call__(self, fields: np.ndarray, before: np.ndarray | None, seconds: int) -> np.ndarray:
        """Fields and those of one step earlier (B, channel, lat, lon), valid at `seconds` -> float32 (B, input, …)."""
        known = forcings.fields(self._forced, seconds, self.grid)[0] if self._forced else None
        fed = np.empty((len(fields), len(self.names), *self.grid.shape), np.float32)
        for number, name in enumerate(self.names):
            if name in FORCINGS:
                assert known is not None
                fed[:, number] = known[self._forced.index(name)]
            elif name in CONSTANTS:
                fed[:, number] = self._constant(name)
            else:
                source = before if is_before(name) else fields
                assert source is not None
                fed[:, number] = source[:, self.channels.index(channel_of(name))]
        mean, std = self._scales
        return (fed - mean) / std

    @cached_property
    def _forced(self) -> Sequence[str]:
        return [name for name in self.names if name in FORCINGS]

    @cached_property
    def _scales(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation, float32 (input, 1, 1); an earlier field has those of its channel."""
        known = {name: self.moments.get(name) or self.moments.get(channel_of(name)) or PLAIN for name in self.names}
        return normalization.columns(known, self.names)

    def _constant(self, name: str) -> np.ndarray:
        """(lat, lon)"""
        if name == LATITUDE:
            return np.broadcast_to(self.grid.lat[:, None], self.grid.shape)
        assert self.static is not None
        return self.static.orography if name == OROGRAPHY else self.static.land_sea_mask
