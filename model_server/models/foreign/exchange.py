"""Between the channels of a state and the fields of a model of another package.

The fields of such a model stand in its own order, each a row of points in its own order: from the north, mostly.
`into` makes what it reads of a state, `out_of` a state of what it gives.  What it reads and no channel says is its own:
it goes on as the model gave it, and what the model does not give (a mask, sea surface temperatures) stays as it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from contracts import humidity
from contracts.errors import UserError
from contracts.grid import SAME_DEGREES, Grid
from contracts.state import StateSpace
from model_server.models.foreign.lexicon import Lexicon
from networks import diagnosed


@dataclass(frozen=True)
class Exchange:
    """`reads` and `gives`, the model's names of its fields; `order` (point,), for each of its points our column."""

    space: StateSpace
    lexicon: Lexicon
    reads: tuple[str, ...]
    gives: tuple[str, ...]
    order: np.ndarray
    whose: str = "the model"

    def __post_init__(self):
        missing = [name for name in self._channels if not self._is_given(name)]
        if missing:
            raise UserError(f"{self.whose} gives no {', '.join(missing)}, which [state] has; it gives "
                            f"{', '.join(sorted(filter(None, map(self.lexicon.channel, self.gives))))}: take out of "
                            "[state] what it does not give")

    @cached_property
    def _channels(self) -> dict[str, int]:
        return {channel.name: number for number, channel in enumerate(self.space.channels)}

    @cached_property
    def own(self) -> tuple[str, ...]:
        """Names of what the model reads and no channel says."""
        return tuple(name for name in self.reads if not self._is_said(self.lexicon.channel(name)))

    def begins_with(self) -> str:
        """Its own fields, and our names of those that [state] could hold, for a sentence."""
        ours = [ours for name in self.own if (ours := self.lexicon.channel(name))]
        return ", ".join(self.own) + (f" (of these [state] could hold {', '.join(ours)})" if ours else "")

    def into(self, data: np.ndarray, own: np.ndarray) -> np.ndarray:
        """(read, point) float32 of a state's `data` (channel, lat, lon) and the `own` fields (own, point)."""
        rows = data.reshape(len(data), -1)[:, self.order]
        beside = dict(zip(self.own, own, strict=True))
        fields = [beside[name] if name in beside else self._said(self.lexicon.channel(name), rows)
                  for name in self.reads]
        return np.stack(fields).astype(np.float32, copy=False)

    def out_of(self, fields: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A state's data (channel, lat, lon) and the own fields (own, point), of those that the model gives (give,
        point) and what its own were."""
        given = dict(zip(self.gives, fields, strict=True))
        data = np.empty(self.space.shape, np.float32)
        for name, number in self._channels.items():
            data[number].reshape(-1)[self.order] = self._given(name, given)
        later = [given.get(name, was) for name, was in zip(self.own, own, strict=True)]
        return data, np.stack(later).astype(np.float32, copy=False) if later else own

    def _is_said(self, ours: str) -> bool:
        """Whether the channels say the field that we name so."""
        return bool(ours) and all(name in self._channels for name in diagnosed.sources(ours) or [ours])

    def _said(self, ours: str, rows: np.ndarray) -> np.ndarray:
        sources = diagnosed.sources(ours)
        if not sources:
            return rows[self._channels[ours]]
        temperature, specific = (rows[self._channels[name]] for name in sources)
        return _relative(temperature, specific, diagnosed.pressure(ours))

    def _is_given(self, channel: str) -> bool:
        return self.lexicon.name(channel) in self.gives or bool(
            (relative := self._relative_of(channel)) and {relative, self._temperature_of(relative)} <= set(self.gives))

    def _given(self, channel: str, given: dict[str, np.ndarray]) -> np.ndarray:
        if (name := self.lexicon.name(channel)) in given:
            return given[name]
        relative = self._relative_of(channel)
        return _specific(given[self._temperature_of(relative)], given[relative],
                         diagnosed.pressure(self.lexicon.channel(relative)))

    def _relative_of(self, channel: str) -> str:
        """The model's name of the relative humidity of the level, where `channel` is the specific one; else empty."""
        level = channel.removeprefix("specific_humidity_")
        return "" if level == channel else self.lexicon.name(f"{diagnosed.RELATIVE_HUMIDITY}{level}")

    def _temperature_of(self, relative: str) -> str:
        return self.lexicon.name(diagnosed.sources(self.lexicon.channel(relative))[0])


def _relative(temperature: np.ndarray, specific: np.ndarray, pressure: float) -> np.ndarray:
    """Per cent, of K, kg kg-1 and Pa."""
    import torch  # here: no model needs it whose humidity is specific

    from networks.climax.humidity import relative_humidity

    kelvin, moisture = (torch.from_numpy(np.ascontiguousarray(field)) for field in (temperature, specific))
    return relative_humidity(kelvin, moisture, pressure).numpy()


def _specific(temperature: np.ndarray, relative: np.ndarray, pressure: float) -> np.ndarray:
    """kg kg-1, of K, per cent and Pa: the inverse of `_relative`."""
    import torch

    from networks.climax.humidity import saturation

    vapour = relative / 100.0 * saturation(torch.from_numpy(np.ascontiguousarray(temperature))).numpy()
    return humidity.specific(vapour, np.asarray(pressure, np.float32))


def points(lat: np.ndarray, lon: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Latitudes and longitudes (point,) of the rows `lat` and columns `lon` of a grid, row by row."""
    rows, columns = np.meshgrid(lat, lon, indexing="ij")
    return rows.ravel(), columns.ravel()


def order(lat: Sequence[float] | np.ndarray, lon: Sequence[float] | np.ndarray, grid: Grid, whose: str) -> np.ndarray:
    """(point,) our column of each of the points at `lat`, `lon` (point,); raises UserError where they are not those of
    the grid, each once."""
    lat, lon = np.asarray(lat, float), (np.asarray(lon, float) + SAME_DEGREES) % 360.0 - SAME_DEGREES
    (rows, in_row), (cols, in_column) = _nearest(grid.lat, lat), _nearest(grid.lon, lon)
    there, columns = in_row & in_column, rows * grid.lon.size + cols
    if not there.all() or len(np.unique(columns)) != grid.size or columns.size != grid.size:
        raise UserError(f"{whose} has {lat.size} points, {_told(lat)} in latitude and {_told(lon)} in longitude, and "
                        f"[grid] is the {grid}: set [grid], or [model] grid, to the model's")
    return columns


def _nearest(axis: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of the `axis` is nearest to each that was found, and whether it is the same."""
    nearest = np.searchsorted((axis[1:] + axis[:-1]) / 2, found)
    return nearest, np.abs(axis[nearest] - found) <= SAME_DEGREES


def _told(degrees: np.ndarray) -> str:
    """`32 of -87.1875 to 87.1875`: how many there are, and from where to where."""
    different = np.unique(degrees.round(4))
    return f"{different.size} of {different[0]:g} to {different[-1]:g}"
