"""The vocabulary: model variables, the channels of a state, observed quantities and the fate of an observation.

Variable names are WeatherBench's; a channel is one horizontal field, so nothing downstream
distinguishes 2-D from 3-D fields: a channel knows its pressure.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, NamedTuple

from contracts.constants import GRAVITY, HECTOPASCAL, SURFACE_PRESSURE_NOMINAL
from contracts.errors import unknown


@dataclass(frozen=True)
class Variable:
    """One row of the vocabulary. `valid_range` (in `units`) is where a sane model stays, not where weather stays."""

    name: str
    units: str
    long_name: str
    on_levels: bool
    valid_range: tuple[float, float]
    standard_name: str
    height: float | None = None  # m above the ground, of a field that stands at one


_ROWS = [
    Variable("geopotential", "m2 s-2", "geopotential", True, (-2.0e4, 6.0e5), "geopotential"),
    Variable("u_component_of_wind", "m s-1", "eastward wind", True, (-250.0, 250.0), "eastward_wind"),
    Variable("v_component_of_wind", "m s-1", "northward wind", True, (-250.0, 250.0), "northward_wind"),
    Variable("temperature", "K", "temperature", True, (120.0, 360.0), "air_temperature"),
    Variable("specific_humidity", "kg kg-1", "specific humidity", True, (-0.02, 0.08), "specific_humidity"),
    Variable("2m_temperature", "K", "temperature at 2 m", False, (150.0, 360.0), "air_temperature", 2.0),
    Variable("2m_specific_humidity", "kg kg-1", "specific humidity at 2 m", False, (-0.02, 0.08),
             "specific_humidity", 2.0),
    Variable("10m_u_component_of_wind", "m s-1", "eastward wind at 10 m", False, (-150.0, 150.0),
             "eastward_wind", 10.0),
    Variable("10m_v_component_of_wind", "m s-1", "northward wind at 10 m", False, (-150.0, 150.0),
             "northward_wind", 10.0),
    Variable("surface_pressure", "Pa", "pressure at the model's surface", False, (3.5e4, 1.15e5),
             "surface_air_pressure"),
    # What models of others carry beside these, and no report of ours is compared with.
    Variable("vertical_velocity", "Pa s-1", "vertical velocity in pressure", True, (-50.0, 50.0),
             "lagrangian_tendency_of_air_pressure"),
    Variable("mean_sea_level_pressure", "Pa", "pressure at mean sea level", False, (8.0e4, 1.15e5),
             "air_pressure_at_mean_sea_level"),
    Variable("total_column_water_vapour", "kg m-2", "water vapour of the column", False, (-5.0, 150.0),
             "atmosphere_mass_content_of_water_vapor"),
    Variable("total_column_water", "kg m-2", "water of the column, vapour, drops and ice", False, (-5.0, 200.0),
             "atmosphere_mass_content_of_water"),
    Variable("2m_dewpoint_temperature", "K", "dewpoint at 2 m", False, (150.0, 330.0), "dew_point_temperature", 2.0),
    Variable("skin_temperature", "K", "temperature of the surface itself", False, (150.0, 380.0),
             "surface_temperature"),
    Variable("100m_u_component_of_wind", "m s-1", "eastward wind at 100 m", False, (-150.0, 150.0),
             "eastward_wind", 100.0),
    Variable("100m_v_component_of_wind", "m s-1", "northward wind at 100 m", False, (-150.0, 150.0),
             "northward_wind", 100.0),
    Variable("soil_temperature_level_1", "K", "temperature of the upper soil", False, (150.0, 360.0),
             "soil_temperature"),
    Variable("soil_temperature_level_2", "K", "temperature of the second layer of the soil", False, (150.0, 360.0),
             "soil_temperature"),
    Variable("volumetric_soil_water_layer_1", "1", "water of the upper soil, by volume", False, (-0.1, 1.1),
             "volume_fraction_of_condensed_water_in_soil"),
    Variable("volumetric_soil_water_layer_2", "1", "water of the second layer of the soil, by volume", False,
             (-0.1, 1.1), "volume_fraction_of_condensed_water_in_soil"),
]
VARIABLES: dict[str, Variable] = {v.name: v for v in _ROWS}
WIND_COMPONENTS = frozenset(v.name for v in _ROWS if v.standard_name in ("eastward_wind", "northward_wind"))


@dataclass(frozen=True)
class Channel:
    """One horizontal field. `pressure` in Pa; for a surface variable its nominal pressure in localisation."""

    variable: str
    pressure: float

    def __post_init__(self):
        if self.variable not in VARIABLES:
            raise ValueError(unknown("variable", self.variable, VARIABLES))
        if not self.pressure > 0:
            raise ValueError(f"channel {self.variable}: pressure must be positive Pa, got {self.pressure}")

    @classmethod
    def surface(cls, variable: str) -> "Channel":
        """A channel without levels, such as `2m_temperature`."""
        if VARIABLES[variable].on_levels:
            raise ValueError(f"{variable} stands on pressure levels and is no surface channel")
        return cls(variable, SURFACE_PRESSURE_NOMINAL)

    @property
    def on_levels(self) -> bool:
        return VARIABLES[self.variable].on_levels

    @property
    def is_wind(self) -> bool:
        """Whether the field is a component of a vector (its sign turns across a pole)."""
        return self.variable in WIND_COMPONENTS

    @property
    def name(self) -> str:
        """`temperature_850` on levels (hPa), the variable's name at the surface."""
        return f"{self.variable}_{self.pressure / HECTOPASCAL:g}" if self.on_levels else self.variable


class Quantity(IntEnum):
    """What was observed. The code is what files hold; names follow the model variables, else CF; units are SI."""

    u_component_of_wind = 1
    v_component_of_wind = 2
    temperature = 3
    virtual_temperature = 4  # only where no humidity stands beside it to convert it
    specific_humidity = 5
    geopotential_height = 6
    surface_pressure = 7  # pressure at the station
    temperature_2m = 8
    specific_humidity_2m = 9
    u_component_of_wind_10m = 10
    v_component_of_wind_10m = 11
    wind_speed = 12
    relative_humidity = 13  # a fraction, over water at all temperatures, as radiosondes report it (WMO-No. 8)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the model that the quantity is computed from, those that it is most of first."""
        return _OBSERVED[self].fields or (self.name,)

    @property
    def variable(self) -> str:
        """The field of the model that the quantity is compared with, or most of what it is computed from."""
        return self.fields[0]

    @property
    def kind(self) -> "Kind":
        return _OBSERVED[self].kind

    @property
    def units(self) -> str:
        return _OBSERVED[self].units or VARIABLES[self.variable].units

    @property
    def valid_range(self) -> tuple[float, float]:
        """What the observed number can be.

        A humidity a little below zero is noise about a small one: to refuse only those would moisten the rest.
        """
        return _OBSERVED[self].valid_range or VARIABLES[self.variable].valid_range

    @property
    def at_surface(self) -> bool:
        """Whether the quantity belongs to a surface channel (compared there whatever its pressure)."""
        return not VARIABLES[self.variable].on_levels


Kind = Literal["wind", "temperature", "humidity", "height", "pressure"]


class _Observed(NamedTuple):
    """What there is to say of a quantity; what is left out is that of its field, the one of its name."""

    kind: Kind
    fields: tuple[str, ...] = ()
    units: str = ""
    valid_range: tuple[float, float] | None = None


_WINDS = ("u_component_of_wind", "v_component_of_wind")
_HEIGHTS = tuple(bound / GRAVITY for bound in VARIABLES["geopotential"].valid_range)
_OBSERVED: dict[Quantity, _Observed] = {
    Quantity.u_component_of_wind: _Observed("wind"),
    Quantity.v_component_of_wind: _Observed("wind"),
    Quantity.temperature: _Observed("temperature"),
    Quantity.virtual_temperature: _Observed("temperature", ("temperature", "specific_humidity")),
    Quantity.specific_humidity: _Observed("humidity"),
    Quantity.geopotential_height: _Observed("height", ("geopotential",), "m", (_HEIGHTS[0], _HEIGHTS[1])),
    Quantity.surface_pressure: _Observed("pressure"),
    Quantity.temperature_2m: _Observed("temperature", ("2m_temperature",)),
    Quantity.specific_humidity_2m: _Observed("humidity", ("2m_specific_humidity",)),
    Quantity.u_component_of_wind_10m: _Observed("wind", ("10m_u_component_of_wind",)),
    Quantity.v_component_of_wind_10m: _Observed("wind", ("10m_v_component_of_wind",)),
    Quantity.wind_speed: _Observed("wind", _WINDS, valid_range=(-10.0, 250.0)),  # of a calm with an error
    Quantity.relative_humidity: _Observed("humidity", ("specific_humidity", "temperature"), "1", (-0.5, 2.0)),
}


def of_kind(kind: Kind) -> tuple[Quantity, ...]:
    """All quantities of a kind."""
    return tuple(quantity for quantity in Quantity if quantity.kind == kind)


class Flag(IntEnum):
    """The fate of one observation: exactly one reason for every row, none is dropped.

    `passed` stands only in observations files; the analysis turns each `passed` into `assimilated` or a reason.
    """

    passed = 0  # fit for assimilation
    assimilated = 1  # used by the analysis
    monitored = 2  # compared with the model, not assimilated, by configuration
    withheld = 3  # kept from the analysis for verification
    bad_mark = 4  # quality mark of the provider above the limit
    missing_mark = 5  # no quality mark
    missing_error = 6  # no observation error in the file nor in the table
    error_table_excludes = 7  # the error table says that this quantity of this report type is not used
    out_of_window = 8  # outside the time window
    auxiliary_level = 9  # level interpolated by the provider
    missing_position = 10  # latitude, longitude, pressure, height or time is missing
    not_converted = 11  # cannot be converted (virtual temperature without humidity)
    out_of_range = 12  # physically impossible value
    duplicate = 13  # the same report stands in the file already
    thinned = 14  # dropped by thinning
    superobbed = 15  # stands in the mean of a superobservation
    out_of_domain = 16  # above the model's top
    below_ground = 17  # below the model's ground or its lowest level
    no_model_field = 18  # the model has no field to compare with
    height_difference = 19  # station and model orography differ too much
    gross_error = 20  # departure from the background beyond the limit
    error_out_of_bounds = 21  # an observation error that no observation of this quantity has
