"""Fields of a GRIB file of pressure levels, as GFS and IFS give them, through ecCodes; on regular grids only.

Geopotential height becomes geopotential, and where there is no specific humidity it is made of relative humidity, taken
as one over water, and the temperature of the level.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from contracts import humidity
from contracts.constants import GRAVITY, HECTOPASCAL
from contracts.errors import UserError, brief
from contracts.grid import Grid
from contracts.static import Static

START = b"GRIB"
ON_LEVELS = {"t": "temperature", "u": "u_component_of_wind", "v": "v_component_of_wind", "q": "specific_humidity",
             "z": "geopotential", "gh": "height", "r": "relative_humidity", "w": "vertical_velocity"}
AT_SURFACE = {"2t": "2m_temperature", "2sh": "2m_specific_humidity", "10u": "10m_u_component_of_wind",
              "10v": "10m_v_component_of_wind", "sp": "surface_pressure", "lsm": "land_sea_mask", "orog": "orography",
              "msl": "mean_sea_level_pressure", "prmsl": "mean_sea_level_pressure", "skt": "skin_temperature",
              "tcwv": "total_column_water_vapour", "tcw": "total_column_water", "2d": "2m_dewpoint_temperature",
              "100u": "100m_u_component_of_wind", "100v": "100m_v_component_of_wind"}
WHERE = ("surface", "heightAboveGround", "meanSea", "entireAtmosphere")  # kinds of level that are none of pressure


@dataclass(frozen=True)
class Fields:
    """`field` (lat, lon) float64 in SI by (variable, level in Pa; 0 at the surface), all valid at `time`."""

    path: Path
    grid: Grid
    time: datetime
    field: dict[tuple[str, float], np.ndarray]

    def levels(self, variable: str) -> np.ndarray:
        """Pa, ascending; UserError where there is none."""
        found = sorted(level for name, level in self.field if name == variable and level > 0)
        if not found:
            raise UserError(f"{self.path}: has no {variable} on pressure levels; it has {self._named()}")
        return np.array(found)

    def read(self, variable: str, levels: np.ndarray) -> np.ndarray:
        """(level, lat, lon), of a surface variable (1, lat, lon); UserError where it is not there."""
        keys = [(variable, float(level)) for level in levels] or [(variable, 0.0)]
        if missing := [key for key in keys if key not in self.field]:
            raise UserError(f"{self.path}: has no {missing[0][0]}; it has {self._named()}")
        return np.stack([self.field[key] for key in keys])

    def static(self) -> Static:
        """Orography and land-sea mask; UserError where they are not there."""
        orography, mask = (self.read(name, np.empty(0))[0] for name in ("orography", "land_sea_mask"))
        return Static(self.grid, orography, mask)

    def _named(self) -> str:
        return ", ".join(sorted({name for name, _ in self.field}))


def read(path: Path) -> Fields:
    """The fields of our vocabulary in a file; raises UserError naming it and what is wrong."""
    try:
        import eccodes
    except (ImportError, RuntimeError) as error:
        raise UserError(f"{path}: GRIB needs ecCodes ({error}): pip install 'letkf-mpi[wmo]'") from None
    field: dict[tuple[str, float], np.ndarray] = {}
    grid, time = None, None
    try:
        for message in _messages(eccodes, path):
            key = _key(eccodes, message)
            if key is None:
                continue
            here, when = _grid(eccodes, message, path), _time(eccodes, message)
            if (grid or here) != here or (time or when) != when:
                raise UserError(f"{path}: has fields of {time} on the {grid}, and of {when} on the {here}; expected "
                                "one time and one grid in a file")
            grid, time = here, when
            field[key] = _values(eccodes, message, here, path, key[0])
    except eccodes.CodesInternalError as error:
        raise UserError(f"{path}: is no GRIB file that ecCodes can read ({brief(error)})") from None
    if grid is None or time is None:
        raise UserError(f"{path}: has none of the fields that a state is made of; expected {', '.join(ON_LEVELS)} on "
                        "pressure levels")
    return Fields(path, grid, time, _in_our_words(field))


def _messages(eccodes: Any, path: Path) -> Iterator[Any]:
    eccodes.codes_grib_multi_support_on()  # u and v may share a message
    try:
        with open(path, "rb") as file:
            while (message := eccodes.codes_grib_new_from_file(file)) is not None:
                try:
                    yield message
                finally:
                    eccodes.codes_release(message)
    finally:
        eccodes.codes_grib_multi_support_off()


def _key(eccodes: Any, message: Any) -> tuple[str, float] | None:
    name, kind = (eccodes.codes_get(message, key) for key in ("shortName", "typeOfLevel"))
    if kind == "isobaricInhPa" and name in ON_LEVELS:
        return ON_LEVELS[name], eccodes.codes_get(message, "level") * HECTOPASCAL
    if kind in WHERE and name in AT_SURFACE:
        return AT_SURFACE[name], 0.0
    return None


def _grid(eccodes: Any, message: Any, path: Path) -> Grid:
    if (kind := eccodes.codes_get(message, "gridType")) not in ("regular_ll", "regular_gg"):
        raise UserError(f"{path}: stands on a grid of the kind {kind}, expected regular_ll or regular_gg; bring it to "
                        "one first, with grib_filter or cdo")
    lat, lon = (np.unique(np.round(eccodes.codes_get_array(message, key), 6))
                for key in ("distinctLatitudes", "distinctLongitudes"))
    try:
        return Grid(lat, np.unique(np.mod(lon, 360.0)))
    except ValueError as error:
        raise UserError(f"{path}: {error}; a state covers the globe") from None


def _values(eccodes: Any, message: Any, grid: Grid, path: Path, name: str) -> np.ndarray:
    """(lat, lon) from the south and from Greenwich eastward."""
    def of(key: str) -> float:
        return float(eccodes.codes_get(message, key))

    if of("jPointsAreConsecutive") or of("alternativeRowScanning") or of("iScansNegatively"):
        raise UserError(f"{path}: {name} is not written row by row eastward; bring it to that order first")
    if of("bitmapPresent") and of("numberOfMissing"):
        raise UserError(f"{path}: {name} is missing at {of('numberOfMissing'):g} places; a state has no gaps")
    field = np.asarray(eccodes.codes_get_values(message), np.float64).reshape(grid.shape)
    field = field if of("jScansPositively") else field[::-1]
    first = np.mod(of("longitudeOfFirstGridPointInDegrees") + 1e-6, 360.0)
    return np.roll(field, int(np.argmin(np.abs(grid.lon - first))), axis=1)


def _time(eccodes: Any, message: Any) -> datetime:
    day, hour = (int(eccodes.codes_get(message, key)) for key in ("validityDate", "validityTime"))
    return datetime(day // 10_000, day // 100 % 100, day % 100, hour // 100, hour % 100, tzinfo=UTC)


def _in_our_words(field: dict[tuple[str, float], np.ndarray]) -> dict[tuple[str, float], np.ndarray]:
    """The same with geopotential for height and specific for relative humidity, where these are not there too."""
    found = dict(field)
    for (name, level), values in field.items():
        if name == "height":
            found.setdefault(("geopotential", level), values * GRAVITY)
        if name == "relative_humidity":
            with suppress(KeyError):
                most = humidity.saturation(field["temperature", level], np.array(level))
                found.setdefault(("specific_humidity", level), np.clip(values, 0.0, None) / 100.0 * most)
    return {key: values for key, values in found.items() if key[0] not in ("height", "relative_humidity")}
