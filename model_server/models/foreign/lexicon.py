"""What other packages call our channels, and back.

    earth2studio   t500, z500, r500; t2m, u10m, sp, msl      its own lexicon: earth2studio.lexicon.base
    anemoi         t_500, z_500; 2t, 10u, sp, msl            short names of ECMWF's parameter database, the level behind

Both have SI units and geopotential, as we do, but for relative humidity in per cent: that of the model fields of ECMWF,
which `networks.diagnosed` names and temperature and specific humidity of its level say.  A name that means none of our
channels is a field of the model's own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from networks.diagnosed import RELATIVE_HUMIDITY

_ON_LEVELS = {
    "z": "geopotential_",
    "u": "u_component_of_wind_",
    "v": "v_component_of_wind_",
    "t": "temperature_",
    "q": "specific_humidity_",
    "w": "vertical_velocity_",
    "r": RELATIVE_HUMIDITY,
}
_AT_SURFACE = {
    "sp": "surface_pressure",
    "msl": "mean_sea_level_pressure",
    "tcw": "total_column_water",
    "tcwv": "total_column_water_vapour",
    "skt": "skin_temperature",
    "stl1": "soil_temperature_level_1",
    "stl2": "soil_temperature_level_2",
    "swvl1": "volumetric_soil_water_layer_1",
    "swvl2": "volumetric_soil_water_layer_2",
}


@dataclass(frozen=True)
class Lexicon:
    """How a package names fields: `between` a letter and its level in hPa, and those `at_surface` by its names."""

    package: str
    between: str
    at_surface: Mapping[str, str]

    def channel(self, name: str) -> str:
        """Our name of its field: that of a channel, or `relative_humidity_500`; empty where it is none of ours."""
        if name in self.at_surface:
            return self.at_surface[name]
        found = re.fullmatch(rf"([a-z]){self.between}(\d+)", name)
        return f"{_ON_LEVELS[found[1]]}{int(found[2])}" if found and found[1] in _ON_LEVELS else ""

    def name(self, channel: str) -> str:
        """Its name of our channel; empty where it has none."""
        for own, ours in self.at_surface.items():
            if ours == channel:
                return own
        for letter, start in _ON_LEVELS.items():
            level = channel.removeprefix(start)
            if level != channel and level.isdigit():
                return f"{letter}{self.between}{level}"
        return ""


EARTH2STUDIO = Lexicon("earth2studio", "", _AT_SURFACE | {
    "t2m": "2m_temperature", "q2m": "2m_specific_humidity", "d2m": "2m_dewpoint_temperature",
    "u10m": "10m_u_component_of_wind", "v10m": "10m_v_component_of_wind",
    "u100m": "100m_u_component_of_wind", "v100m": "100m_v_component_of_wind",
})
ANEMOI = Lexicon("anemoi", "_", _AT_SURFACE | {
    "2t": "2m_temperature", "2sh": "2m_specific_humidity", "2d": "2m_dewpoint_temperature",
    "10u": "10m_u_component_of_wind", "10v": "10m_v_component_of_wind",
    "100u": "100m_u_component_of_wind", "100v": "100m_v_component_of_wind",
})
