"""NCEP's raw dumps: the soundings of the sample file, and reports of other types encoded with its tables."""

import logging
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from contracts.constants import GRAVITY
from contracts.errors import UserError
from contracts.observations import Observations
from contracts.variables import Flag, Quantity
from obsproc import atmosphere, convert
from obsproc.bufr import compose
from obsproc.bufr.encode import encode
from obsproc.bufr.messages import scan
from obsproc.bufr.program import compile_program
from obsproc.bufr.reports import Reports
from obsproc.bufr.tables import Element, Sequence, Tables, descriptor, read_tables
from tests.obsproc.cases import MODERN, observed

WHEN = {"YEAR": 2020, "MNTH": 11, "DAYS": 1, "HOUR": 12}
U, V, T, Q, Z, PS = (Quantity.u_component_of_wind, Quantity.v_component_of_wind, Quantity.temperature,
                     Quantity.specific_humidity, Quantity.geopotential_height, Quantity.surface_pressure)
EVERYTHING = "[" + ", ".join(f'"{quantity.name}"' for quantity in Quantity) + "]"
# Of ds461, whose tables the sample does not have: surface reports of elements that its tables have, and of these.
PRESSURES = {"010004": Element("PRES", "PASCALS", -1, 0, 14), "010052": Element("ALSE", "PASCALS", -1, 0, 14),
             "010051": Element("PMSL", "PASCALS", -1, 0, 14), "013003": Element("REHU", "%", 0, 0, 7)}
SURFACE = ("001198 301011 004004 004005 005002 006002 007001 010004 010051 010052 012101 012103 013003 011001 011002 "
           "033193")


@pytest.fixture(scope="module")
def sample(samples) -> Path:
    return samples / "prepbufr" / "NC002003"


@pytest.fixture(scope="module")
def tables(sample) -> Tables:
    data = sample.read_bytes()
    found = Tables()
    for message in scan(data, sample):
        if message.is_table:
            found = found.merged(read_tables(data, message, sample))
    of_surface = {descriptor(f"34800{number}"): Sequence(name, tuple(map(descriptor, SURFACE.split())))
                  for number, name in enumerate(("NC000001", "NC000007", "NC001001"))}
    return found.merged(Tables({descriptor(key): element for key, element in PRESSURES.items()}, of_surface))


def written(path: Path, tables: Tables, name: str, header: dict, levels: int = 1, **level) -> Path:
    """A dump of one report."""
    sequence = next(key for key, found in tables.sequences.items() if found.mnemonic == name)
    program = compile_program(tables, compose.framed(sequence))
    columns = {key: np.array([value.encode()] if isinstance(value, str) else [value], "S8" if isinstance(value, str)
                             else float) for key, value in (WHEN | header).items()}
    of_levels = {key: np.broadcast_to(np.asarray(values, float), levels) for key, values in level.items()}
    reports = Reports(name, 1, np.array([1]), columns, np.array([0, levels]), of_levels, {}, {})
    messages = [*compose.table_messages(tables),
                *compose.messages(int(name[2:5]), compose.framed(sequence), encode(reports, program), MODERN)]
    path.write_bytes(b"".join(messages))
    return path


def rows(path: Path, *quantities: Quantity, cycle: datetime = MODERN) -> Observations:
    table = observed(path, cycle, source='"dump"', use=EVERYTHING, humidity_below_hpa="0")
    return table.select(np.isin(table.quantity, quantities)) if quantities else table


def test_a_sounding_of_a_ship_is_that_of_its_dump(sample):
    found = rows(sample)
    assert set(found.station) == {b"FPUW5GN", b"VKB4L5Q", b"ZVQEQCM"} and set(found.type) == {120, 220}
    assert (found.flag == Flag.passed).sum() == len(found) - 23 - 2  # heights have no error; 2 q beyond saturation
    first = found.select(found.station == b"FPUW5GN")
    first_up = first.select(first.pressure == 92_500)
    at = {quantity: first_up.select(first_up.quantity == quantity) for quantity in (T, U, V, Z)}
    assert at[T].value == 287.15 and at[Z].value == pytest.approx(8693 / GRAVITY)
    angle = np.deg2rad(250)
    assert (at[U].value[0], at[V].value[0]) == pytest.approx((-11 * np.sin(angle), -11 * np.cos(angle)))
    ground = first.select(first.quantity == PS)
    assert (ground.value, ground.elevation) == (102_300, 0) and set(first.lon) == {343.0}
    assert set(first.time - int(MODERN.timestamp())) == {-84 * 60}  # launched at 10:36 for 12 UTC


def test_a_sounding_of_high_resolution_drifts(tables, tmp_path):
    path = written(tmp_path / "d", tables, "NC002101", {"WMOB": 11, "WMOS": 35, "MINU": 0, "SECO": 0, "CLATH": 48.0,
                   "CLONH": 16.0, "HSMSL": 200.0, "HBMSL": 203.0}, 3, VSIGX=[1 << 17, 0, 1 << 16], LTDS=[0, 60, 120],
                   LATDH=[0, 0.01, 0.02], LONDH=[0, 0.1, 0.2], PRLC=[99_000, 95_000, 92_500], GP10=[2000, 5000, 7000],
                   TMDB=[280, 278, 276], TMDP=[278, 275, 270], WDIR=[270, 270, 180], WSPD=[5, 10, 20],
                   QMAT=[np.nan, 3, 14])
    found = rows(path, T, Quantity.temperature_2m)
    assert set(found.station) == {b"11035"}
    np.testing.assert_allclose(found.value, [280, 278, 276])
    np.testing.assert_allclose(found.lon, [16, 16.1, 16.2], atol=1e-5)
    assert (found.time - found.time[0]).tolist() == [0, 60, 120] and found.quality.tolist() == [2, 3, 14]
    assert found.flag.tolist() == [Flag.passed, Flag.passed, Flag.bad_mark] and found.elevation[0] == 203
    wind = rows(path, V)
    assert wind.value[-1] == pytest.approx(20) and set(wind.type) == {220}


def test_a_dropsonde_has_no_level_of_the_surface(tables, tmp_path):
    found = rows(written(tmp_path / "d", tables, "NC002004", {"RPID": "DROP1", "CLAT": 20.0, "CLON": -60.0}, 2,
                         VSIG=[64, 32], PRLC=[101_000, 92_500], TMDB=[300, 296]))
    assert set(found.quantity) == {T} and set(found.type) == {132}
    assert found.pressure.tolist() == [101_000, 92_500] and (found.flag == Flag.passed).all()


def test_winds_of_a_profiler_stand_at_the_pressure_of_their_height(tables, tmp_path):
    found = rows(written(tmp_path / "d", tables, "NC002007", {"RPID": "74646", "CLAT": 36.0, "CLON": -97.0, "MINU": 0,
                         "SELV": 300.0}, 2, HEIT=[1000, 5000], WDIR=[90, 270], WSPD=[5, 30]), U)
    np.testing.assert_allclose(found.pressure, atmosphere.standard_pressure(np.array([1000.0, 5000.0])))
    np.testing.assert_allclose(found.value, [-5, 30])
    assert set(found.type) == {223} and set(found.message_type) == {b"PROFLR"}


def test_an_aircraft_tells_its_altitude_or_its_pressure(tables, tmp_path):
    by_altitude = rows(written(tmp_path / "a", tables, "NC004001", {"MINU": 10, "ACID": "KLM1", "CLAT": 50.0,
                               "CLON": 5.0, "PSAL": 10_000, "TMDB": 220, "WDIR": 270, "WSPD": 40}))
    assert by_altitude.pressure == pytest.approx(np.full(3, atmosphere.standard_pressure(np.array(10_000.0))))
    assert set(by_altitude.type) == {130, 230} and set(by_altitude.station) == {b"KLM1"}
    by_pressure = rows(written(tmp_path / "b", tables, "NC004004", {"MINU": 10, "SECO": 5, "ACRN": "N1", "CLAT": 40.0,
                               "CLON": -90.0, "PRLC": 25_000, "TMDB": 225, "MIXR": 1e-4, "WDIR": 0, "WSPD": 0}))
    assert set(by_pressure.pressure) == {25_000} and set(by_pressure.message_type) == {b"AIRCAR"}
    assert by_pressure.value[by_pressure.quantity == Q] == pytest.approx(1e-4 / 1.0001)
    assert by_pressure.value[np.isin(by_pressure.quantity, (U, V))].tolist() == [0, 0]  # calm
    assert set(by_pressure.time - int(MODERN.timestamp())) == {605}


def test_a_profile_of_an_aircraft_has_all_its_levels(tables, tmp_path):
    found = rows(written(tmp_path / "d", tables, "NC004103", {"ACRN": "EU1", "MINU": 0, "SECO": 0, "CLATH": 50.0,
                         "CLONH": 8.0}, 3, FLVLST=[100, 1000, 3000], TMDB=[285, 280, 268]), T)
    np.testing.assert_allclose(found.pressure, atmosphere.standard_pressure(np.array([100.0, 1000.0, 3000.0])))
    assert found.value.tolist() == [285, 280, 268]


STATION = {"MINU": 0, "CLAT": 50.0, "CLON": 10.0, "SELV": 500.0, "TMDB": 280, "TMDP": 275, "WDIR": 90, "WSPD": 3}


@pytest.mark.parametrize(("name", "pressures", "types", "expected"), [
    ("NC000001", {"PRES": 95_000, "PMSL": 101_000}, {181, 281}, (95_000, 500)),
    ("NC000001", {"PMSL": 101_000}, {183, 284}, None),
    ("NC000007", {"ALSE": 101_300}, {187, 287}, (95_439, 500)),
    ("NC001001", {"PMSL": 101_500}, {180, 280}, (101_500, 0)),
])
def test_a_station_s_pressure_is_its_own_or_what_tells_it(tables, tmp_path, name, pressures, types, expected):
    found = rows(written(tmp_path / "d", tables, name, {"RPID": "10001"} | STATION | pressures))
    assert set(found.type) == types
    pressure = found.select(found.quantity == PS)
    told = [(round(value, -1), height) for value, height in zip(pressure.value.tolist(), pressure.elevation.tolist(),
                                                                strict=True)]
    assert told == ([] if expected is None else [(round(expected[0], -1), expected[1])])
    humid = found.select(found.quantity == Quantity.specific_humidity_2m)
    if expected:
        assert humid.value == pytest.approx(convert.saturation_humidity(np.array([275.0]), pressure.value), rel=1e-6)
        assert not (found.flag == Flag.missing_position).any() and (pressure.flag == Flag.passed).all()


def test_an_altimeter_that_is_set_tells_the_elevation_of_the_airfield():
    """By the definition of its scale: the difference of two altitudes in the standard atmosphere."""
    elevation = np.array([-50.0, 0.0, 500.0, 2500.0])
    for setting in (97_000.0, 101_325.0, 104_000.0):
        pressure = atmosphere.station_pressure(np.array(setting), elevation)
        altitude = [np.interp(-p, -atmosphere.standard_pressure(np.arange(-1000.0, 6000.0)), np.arange(-1000.0, 6000.0))
                    for p in (setting, *pressure)]
        np.testing.assert_allclose(np.array(altitude[1:]) - altitude[0], elevation, atol=0.01)


def test_reports_of_other_types_are_counted(tables, tmp_path, caplog):
    path = written(tmp_path / "d", tables, "NC002012", {"MINU": 0})
    with caplog.at_level(logging.WARNING):
        assert len(rows(path)) == 0
    assert "1 reports of NC002012 skipped" in caplog.text


def test_who_takes_a_dump_for_prepbufr_is_told(sample):
    with pytest.raises(UserError, match="NC002003 has no SID .* source = 'dump'"):
        observed(sample)
