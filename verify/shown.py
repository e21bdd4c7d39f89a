"""Units and names as people read them: g/kg instead of kg/kg, hPa instead of Pa, types of reports by name."""

from contracts.constants import HECTOPASCAL
from contracts.variables import VARIABLES, Quantity

_UNITS = {"kg kg-1": (1000.0, "g kg-1"), "Pa": (1.0 / HECTOPASCAL, "hPa"), "1": (100.0, "%")}

_REPORTS = {  # by PREPBUFR type: 1nn is mass, 2nn wind (NCEP, code table 2 of PREPBUFR processing)
    (120, 220): "radiosonde", (221,): "pilot balloon", (122, 222): "class sounding",
    (223, 227, 228, 229): "wind profiler", (224,): "radar wind (VAD)", (130, 230): "aircraft (AIREP, PIREP)",
    (131, 231): "aircraft (AMDAR)", (132, 232): "dropsonde, reconnaissance", (133, 233): "aircraft (ACARS)",
    (134, 234): "aircraft (TAMDAR)", (135, 235): "aircraft (AMDAR, Canada)", tuple(range(240, 261)): "satellite wind",
    (180, 280): "ship, buoy", (181, 281): "surface station", (182,): "dropsonde at the surface", (282,): "moored buoy",
    (183, 284): "ship or station without pressure", (187, 287): "airfield (METAR) without pressure",
    (188, 288): "mesonet", (285,): "scatterometer (QuikSCAT)", (286,): "scatterometer (ERS)", (289,): "WindSat",
    (290,): "scatterometer (ASCAT)",
}
_NAMES = {kind: name for kinds, name in _REPORTS.items() for kind in kinds}


def units(channel: str) -> str:
    """Of a channel such as `specific_humidity_700`."""
    return _UNITS.get(_si(channel), (1.0, _si(channel)))[1]


def factor(channel: str) -> float:
    """What SI is multiplied with to have these units."""
    return _UNITS.get(_si(channel), (1.0, ""))[0]


def units_of(quantity: Quantity) -> str:
    return _UNITS.get(quantity.units, (1.0, quantity.units))[1]


def factor_of(quantity: Quantity) -> float:
    return _UNITS.get(quantity.units, (1.0, ""))[0]


def report(kind: int) -> str:
    """`120` -> `radiosonde (120)`; a type that is not in the table is its number."""
    return f"{_NAMES[kind]} ({kind})" if kind in _NAMES else str(kind)


def _si(channel: str) -> str:
    return VARIABLES[channel if channel in VARIABLES else channel.rpartition("_")[0]].units
