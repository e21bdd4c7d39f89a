"""Between SPEEDY's columns and the fields that the programs exchange: outwards states, inwards increments.

Outwards: sigma levels to pressure levels column by column (`vertical`), then bilinearly from the Gaussian grid to the
output grid.  Inwards: bilinearly to the Gaussian grid, then from pressure levels to the sigma levels.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from contracts.grid import Grid, Stencil
from contracts.state import StateSpace
from contracts.static import Static
from contracts.variables import WIND_COMPONENTS
from model_server.models.speedy import vertical
from model_server.models.speedy.program import Program

LEVEL_NAMES = {  # ours -> the name in `Program.diagnose`
    "u_component_of_wind": "u",
    "v_component_of_wind": "v",
    "temperature": "temperature",
    "specific_humidity": "humidity",
    "geopotential": "geopotential",
}
SURFACE_NAMES = {
    "2m_temperature": "t2",
    "10m_u_component_of_wind": "u10",
    "10m_v_component_of_wind": "v10",
    "surface_pressure": "surface_pressure",
}
INCREMENTED = ("u_component_of_wind", "v_component_of_wind", "temperature", "specific_humidity")


@dataclass(frozen=True)
class Exchange:
    """The two ways between the grid and levels of `program` and those of `space`."""

    space: StateSpace
    program: Program

    def fields(self, diagnosed: dict[str, np.ndarray]) -> np.ndarray:
        """What `Program.diagnose` gives, as float32 (channel, lat, lon) of the space."""
        model = {name: _columns(field) for name, field in diagnosed.items()}
        columns = vertical.SigmaColumns(
            sigma=self.program.sigma,
            surface_pressure=model["surface_pressure"],
            **{name: model[own] for name, own in LEVEL_NAMES.items()},
        )
        levels = np.unique([channel.pressure for channel in self.space.channels if channel.on_levels])
        on_levels = vertical.to_pressure(columns, levels)
        fields = np.empty((len(self.space.channels), self.space.grid.size), np.float32)
        for i, channel in enumerate(self.space.channels):
            if channel.on_levels:
                field = on_levels[channel.variable][np.searchsorted(levels, channel.pressure)]
            else:
                field = model[SURFACE_NAMES[channel.variable]]
            fields[i] = (self._outward.vector if channel.is_wind else self._outward.scalar)(field)
        return fields.reshape(self.space.shape)

    def increments(self, analysis: np.ndarray, background: np.ndarray, pressure: np.ndarray) -> dict[str, np.ndarray]:
        """analysis - background, both (channel, lat, lon) of the space, as (sigma, lon, lat) on the Gaussian grid.

        `pressure` (lon, lat) Pa is the model's surface pressure before the analysis.
        """
        increment = (analysis - background).reshape(len(analysis), -1)
        surface_pressure = _columns(pressure).astype(np.float64)
        found = {"log_pressure": self._gaussian(self._log_pressure(analysis, background))}
        for name in INCREMENTED:
            carry = self._inward.vector if name in WIND_COMPONENTS else self._inward.scalar
            on_levels = carry(increment[self.space.index(name)])
            found[LEVEL_NAMES[name]] = self._gaussian(
                vertical.increments_to_sigma(on_levels, self.space.levels(name), self.program.sigma, surface_pressure)
            )
        return found

    def _log_pressure(self, analysis: np.ndarray, background: np.ndarray) -> np.ndarray:
        """(column,) ln of analysis over background, formed before interpolation: unlike ps it knows no mountains."""
        if "surface_pressure" not in self.space:
            return np.zeros(self.grid.size)
        (channel,) = self.space.index("surface_pressure")
        ratio = analysis[channel].astype(np.float64) / background[channel]
        return self._inward.scalar(np.log(ratio).ravel())

    @cached_property
    def static(self) -> Static:
        """The model's own orography and mask on the output grid."""
        fields = np.stack([_columns(self.program.orography), _columns(self.program.land_sea_mask)])
        orography, mask = self._outward.scalar(fields).reshape(2, *self.space.grid.shape)
        return Static(self.space.grid, orography, np.clip(mask, 0.0, 1.0))

    @cached_property
    def grid(self) -> Grid:
        """The model's Gaussian grid."""
        return Grid(self.program.lat, self.program.lon)

    @cached_property
    def _outward(self) -> Stencil:
        return self.grid.bilinear(self.space.grid.column_lat, self.space.grid.column_lon)

    @cached_property
    def _inward(self) -> Stencil:
        return self.space.grid.bilinear(self.grid.column_lat, self.grid.column_lon)

    def _gaussian(self, columns: np.ndarray) -> np.ndarray:
        """(…, column) -> float32 (…, lon, lat)"""
        fields = columns.reshape(*columns.shape[:-1], *self.grid.shape)
        return np.ascontiguousarray(np.swapaxes(fields, -1, -2), np.float32)


def _columns(field: np.ndarray) -> np.ndarray:
    """(…, lon, lat) -> (…, column), the order of contracts.grid."""
    return np.swapaxes(field, -1, -2).reshape(*field.shape[:-2], -1)
