"""IODA files of others as a source: what their variables mean where they are looser than our table.

    report type x80 to x99             airTemperature, windEastward, ... are those in the screen and on the mast
    virtualTemperature                 T = Tv / (1 + (1/ε − 1) q) with the humidity of the same Location, as good as the
                                       worse of both marks; its error shrinks with it
    no QualityMarker nor PreQC at all  mark 2, "not checked"; where there is one, a missing mark is missing
    ObsError, but not of this row      no error: the provider means it not to be used
    no MetaData/messageType            that of NCEP for the report type

After that a row is judged like that of every other source: `pipeline`. From files of ours, which hold fates, the rows
that were still good are taken, as they are.
"""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import numpy as np

from contracts.observations import Observations
from contracts.variables import Flag, Quantity
from obsproc import convert, ioda
from obsproc.errors import WITHOUT_ERROR
from obsproc.prepbufr import Candidates

NOT_CHECKED = 2
AT_SURFACE = {
    Quantity.temperature: Quantity.temperature_2m, Quantity.specific_humidity: Quantity.specific_humidity_2m,
    Quantity.u_component_of_wind: Quantity.u_component_of_wind_10m,
    Quantity.v_component_of_wind: Quantity.v_component_of_wind_10m,
}
# Of PREPBUFR: by report type its message type.
MESSAGE_TYPE = {kind: name for name, kinds in {
    "ADPUPA": (120, 122, 132, 220, 221, 222, 232), "AIRCFT": (130, 131, 134, 135, 230, 231, 234, 235),
    "AIRCAR": (133, 233), "SATWND": range(240, 262), "PROFLR": (223, 227, 228, 229), "VADWND": (224,),
    "RASSDA": (126,), "SFCSHP": (180, 182, 280, 282), "ADPSFC": (181, 183, 187, 281, 284, 287), "SPSSMI": (283,),
    "QKSWND": (285,), "ERS1DA": (286,), "MSONET": (188, 195, 288, 295), "WDSATR": (289,), "ASCATW": (290,),
    "SFCBOG": (191,)}.items() for kind in kinds}
STILL_GOOD = (Flag.passed, Flag.assimilated, Flag.monitored, Flag.withheld)


@dataclass(frozen=True)
class IodaFile:
    """A file that was read; its reports are numbered from 0."""

    path: Path
    sha256: str
    candidates: Candidates
    time: datetime  # of its cycle


def read_file(path: Path, time: datetime) -> IodaFile:
    """Read a file as a source for the analysis time `time`. Raises UserError naming the file and what is wrong."""
    table, source = ioda.import_file(path, time)
    table = table.with_columns(report=np.unique(table.report, return_inverse=True)[1].ravel())
    if ioda.is_ours(path):
        table = table.with_columns(flag=np.where(np.isin(table.flag, STILL_GOOD), Flag.passed, table.flag))
    else:
        table = _completed(table)
    location = _locations(table)
    table, temperature = _sensible(table, location)
    placed = np.isfinite(table.lat) & np.isfinite(table.lon) & (np.abs(table.lat) <= 90.0)
    placed &= np.isfinite(np.where(table.at_surface, table.elevation, table.pressure))
    flag = np.where((table.flag == Flag.passed) & ~placed, Flag.missing_position, table.flag)
    n = len(table)
    candidates = Candidates(table.with_columns(flag=flag), location, np.full(n, np.nan), np.full(n, -1), temperature,
                            table.time)
    return IodaFile(path, sha256(path.read_bytes()).hexdigest(), candidates, source.time)


def _completed(table: Observations) -> Observations:
    """What others leave to be understood."""
    quantity, error, quality = table.quantity.copy(), table.error.copy(), table.quality.copy()
    of_surface = (table.type // 100 <= 2) & (table.type % 100 >= 80)
    for code in np.unique(table.quantity):
        rows = table.quantity == code
        if np.isfinite(table.error[rows]).any():
            error[rows & ~np.isfinite(table.error)] = WITHOUT_ERROR
        if (table.quality[rows] < 0).all():
            quality[rows] = NOT_CHECKED
        quantity[rows & of_surface] = AT_SURFACE.get(Quantity(int(code)), code)
    names = np.array([MESSAGE_TYPE.get(kind, "TABLE") for kind in table.type.tolist()], "S8")
    return table.with_columns(quantity=quantity, error=error, quality=quality,
                              message_type=np.where(table.message_type == b"", names, table.message_type))


def _locations(table: Observations) -> np.ndarray:
    """(nobs,) a number for each report and pressure."""
    pressure = np.nan_to_num(table.pressure)
    return np.unique(np.rec.fromarrays([table.report, pressure, table.time]), return_inverse=True)[1].ravel()


def _sensible(table: Observations, location: np.ndarray) -> tuple[Observations, np.ndarray]:
    """The rows with virtual temperatures converted where humidity stands beside them, and the sensible temperature of
    each row's Location (nobs,) K."""
    n = location.max(initial=-1) + 1
    humidity, mark, temperature = np.full(n, np.nan), np.full(n, -1), np.full(n, np.nan)
    humid = np.isin(table.quantity, (Quantity.specific_humidity, Quantity.specific_humidity_2m))
    humidity[location[humid]], mark[location[humid]] = table.value[humid], table.quality[humid]
    virtual = table.quantity == Quantity.virtual_temperature
    value = np.where(virtual, convert.sensible_temperature(table.value, humidity[location]), table.value)
    converted = virtual & np.isfinite(value)
    of_surface = (table.type // 100 <= 2) & (table.type % 100 >= 80)
    known = np.where(of_surface, Quantity.temperature_2m, Quantity.temperature)
    found = table.with_columns(
        value=np.where(converted, value, table.value),
        error=np.where(converted, table.error * value / table.value, table.error),
        quality=np.where(converted, np.maximum(table.quality, mark[location]), table.quality),
        quantity=np.where(converted, known, table.quantity),
        flag=np.where(virtual & ~converted & (table.flag == Flag.passed), Flag.not_converted, table.flag))
    is_temperature = np.isin(found.quantity, (Quantity.temperature, Quantity.temperature_2m))
    temperature[location[is_temperature]] = found.value[is_temperature]
    return found, temperature[location]
