"""What GSI's rules of marks, window, pressure and height take of a modern cycle, counted from the raw columns: we use
the same, but for what came twice and humidity that no air holds."""

import numpy as np
import pytest

from contracts.variables import Flag, Quantity
from obsproc.bufr.files import read_file
from obsproc.prepbufr import SURFACE_MESSAGES
from tests.obsproc.cases import MODERN, observed

# Mnemonics of value and mark, and what becomes of the value.
OBSERVED = {
    "T": ("TOB", "TQM", (Quantity.temperature, Quantity.temperature_2m, Quantity.virtual_temperature)),
    "q": ("QOB", "QQM", (Quantity.specific_humidity, Quantity.specific_humidity_2m)),
    "u": ("UOB", "WQM", (Quantity.u_component_of_wind, Quantity.u_component_of_wind_10m)),
    "v": ("VOB", "WQM", (Quantity.v_component_of_wind, Quantity.v_component_of_wind_10m)),
    "ps": ("POB", "PQM", (Quantity.surface_pressure,)),
}
EVERYTHING = "[" + ", ".join(f'"{quantity.name}"' for quantity in Quantity) + "]"


def taken(reports, value, mark, of_pressure) -> np.ndarray:
    """(nlevel,) bool, by read_prepbufr: marks up to 3, of the value and of the pressure that places it; the report
    within 3 h; a pressure of a station whose height did not fail."""
    owner = reports.level_owner()
    column = {name: reports.level.get(name, np.full(reports.levels, np.nan)) for name in (
        value, mark, "CAT", "POB", "PQM", "ZQM")}
    surface = (column["CAT"] == 0) | (reports.message_type in SURFACE_MESSAGES)
    found = np.isfinite(column[value]) & (column[mark] <= 3) & (np.abs(reports.header["DHR"][owner]) <= 3)
    if of_pressure:
        return found & surface & (reports.header["TYP"][owner] // 100 == 1) & ~(column["ZQM"] > 3)
    return found & (surface | ((column["PQM"] <= 3) & (column["POB"] > 0)))


@pytest.mark.parametrize("name", ["ADPUPA.prepbufr.110msg", "gdas.t12z.sfcshp.prepbufr",
                                  "gdas.t12z.acft_profiles.prepbufr"])
def test_by_type_and_quantity_we_use_what_gsi_takes(samples, name):
    path = samples / "prepbufr" / name
    table = observed(path, MODERN, truncated='"accept"', use=EVERYTHING, humidity_below_hpa="0")
    compared = 0
    for reports in read_file(path, accept_truncated=True).reports.values():
        kind = reports.header["TYP"][reports.level_owner()]
        for letter, (value, mark, quantities) in OBSERVED.items():
            found = taken(reports, value, mark, letter == "ps")
            for number in np.unique(kind[found]):
                ours = table.select((table.type == number) & np.isin(table.quantity, quantities))
                explained = (Flag.duplicate, Flag.out_of_range) if letter == "q" else (Flag.duplicate,)
                used = (ours.flag == Flag.passed).sum()
                assert used + np.isin(ours.flag, explained).sum() == (found & (kind == number)).sum(), (number, letter)
                compared += used
    assert compared > 1000
