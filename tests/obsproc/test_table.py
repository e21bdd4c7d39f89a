"""A user's own list: its columns become rows, and every fault is one sentence with its place."""

import netCDF4
import numpy as np
import pytest

from contracts import config, observations, times
from contracts.errors import UserError
from contracts.observations import Source
from contracts.variables import Flag, Quantity
from obsproc import pipeline, table
from obsproc.config import Settings
from tests import builders
from tests.obsproc.cases import observed

CYCLE = times.parse("1989010112")
HEADER = "quantity,value,lat,lon,time,pressure,elevation,type,station,error\n"
SOUNDING = """temperature,253.2,52.2,-14.1,1989-01-01T11:30:00Z,50000,,120,09393,
specific_humidity,0.0005,52.2,-14.1,1989-01-01T11:30:00Z,50000,,120,09393,
u_component_of_wind,7,52.2,-14.1,1989-01-01 11:30,50000,,220,09393,1.5  # a comment
surface_pressure,99000,52.2,-14.1,1989-01-01T12:30:00+01:00,,112,120,09393,80
"""


def listed(tmp_path, text):
    path = tmp_path / "list.csv"
    path.write_text(text)
    return table.read_file(path).candidates


def test_a_list_becomes_rows(tmp_path):
    found = listed(tmp_path, HEADER + "\n" + SOUNDING).table
    assert [Quantity(int(q)).name for q in found.quantity] == [
        "temperature", "specific_humidity", "u_component_of_wind", "surface_pressure"]
    assert found.value.tolist() == [253.2, 0.0005, 7.0, 99_000.0] and found.lon.round(6).tolist() == [345.9] * 4
    assert (found.time == times.to_seconds(CYCLE) - 1800).all() and len(set(found.report)) == 1
    assert found.error[2:].tolist() == [1.5, 80.0] and np.isnan(found.error[:2]).all()
    assert (found.flag == Flag.passed).all() and (found.quality == 2).all()


def test_a_level_without_its_place_is_flagged(tmp_path):
    row = "250,0,0,1989-01-01,5"
    text = f"quantity,value,lat,lon,time,elevation\ntemperature,{row}\ntemperature_2m,{row}\n"
    assert listed(tmp_path, text).table.flag.tolist() == [Flag.missing_position, Flag.passed]


def test_it_is_a_source_of_the_program(tmp_path):
    """Errors come from NCEP's table where the list has none, that of humidity through the temperature beside it."""
    listed(tmp_path, HEADER + SOUNDING)
    settings = config.decode(f"""{builders.experiment("test", CYCLE)}
        [observations]
        source = "table"
        files = ["{tmp_path}/list.csv"]""", Settings, "test")
    found, source = pipeline.observe(settings, CYCLE)
    assert (found.flag == Flag.passed).all() and np.isfinite(found.error).all() and source.files == ("list.csv",)
    assert found.error[1] < 0.5 * 0.0025  # a part of q_s(253.2 K, 500 hPa)


def netcdf(path, **change):
    columns = dict(quantity=np.array([3, 7], "i1"), value=[253.2, 99_000.0], lat=[1.0, 2.0], lon=[3.0, 4.0],
                   time=[0.5, 1.0], pressure=[50_000.0, np.nan], elevation=[np.nan, 5.0], station=["A", "B"]) | change
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("row", 2)
        for name, values in columns.items():
            if values is not None:
                kind = str if isinstance(values[0], str) else np.asarray(values).dtype
                file.createVariable(name, kind, ("row",))[:] = np.array(values, dtype=object if kind is str else kind)
        if "time" in file.variables:
            file["time"].units = "hours since 1989-01-01 12:00"


def test_a_netcdf_list_is_the_same(tmp_path):
    netcdf(tmp_path / "list.nc")
    found = table.read_file(tmp_path / "list.nc").candidates.table
    assert found.quantity.tolist() == [Quantity.temperature, Quantity.surface_pressure]
    assert (found.time - times.to_seconds(CYCLE)).tolist() == [1800, 3600] and found.station.tolist() == [b"A", b"B"]
    netcdf(tmp_path / "list.nc", quantity=["temperature", "surface_pressure"])
    again = table.read_file(tmp_path / "list.nc").candidates.table
    np.testing.assert_array_equal(found.value, again.value)


def test_an_observations_file_is_a_list(tmp_path):
    rows = builders.observations([250.0, 260.0], lat=[1.0, 2.0], time=CYCLE)
    observations.write(tmp_path / "obs.nc", rows, Source(CYCLE, (CYCLE, CYCLE)))
    found = table.read_file(tmp_path / "obs.nc").candidates.table
    for name in ("value", "lat", "lon", "time", "pressure", "station", "type", "quality", "error"):
        np.testing.assert_array_equal(getattr(found, name), getattr(rows, name), err_msg=name)


ROW = "temperature,250,0,0,1989-01-01,50000,,120,A,1"


@pytest.mark.parametrize(("text", "sentence"), [
    ("quantity,value,lat,lon\n", "has no column 'time'; a list of observations has quantity, value, lat, lon, time"),
    ("quantity,value,lat,lon,time,colour\n", "unknown column 'colour'; known: quantity"),
    ("", "has no column 'quantity'"),
    (HEADER + "temperature,250\n", r"line 2: has 2 cells, expected 10"),
    (HEADER + ROW.replace("250", "warm"), "line 2: column value is 'warm', expected a number"),
    (HEADER + ROW.replace("1989-01-01", "today"), "line 2: column time is 'today', expected a time such as"),
    (f"{HEADER}{ROW}\n{ROW.replace('per', 'pr')}", "observation 2 has quantity temprature, expected one of"),
    (HEADER + ROW.replace(",250,0,", ",250,91,"), "observation 1 has lat 91.0, expected -90 to 90"),
    (HEADER + ROW.replace("50000", "-5"), "has pressure -5.0, expected more than 0 Pa"),
    (HEADER + ROW.replace(",A,1", ",A,0"), "has error 0.0, expected more than 0, or none"),
    (HEADER + ROW.replace(",A,", ",FAR TOO LONG,"), "has station FAR TOO LONG, expected at most 8 ASCII characters"),
    (HEADER + ROW.replace(",250,", ",,"), "has value nan, expected a number; leave the row out"),
    (HEADER + ROW.replace(",250,", ",2_5_3,"), "line 2: column value is '2_5_3', expected a number"),
    (HEADER + ROW.replace("50000,,120", "50000,,120.5"), "line 2: column type is '120.5', expected a whole number"),
    (HEADER.replace("station", "report") + ROW.replace(",A,", ",3000000000,"), "has report 3000000000.0, expected"),
    (HEADER.replace("error", "value") + ROW, "column 'value' stands there twice"),
    (HEADER + ROW.replace(",A,", ',"A,'), "a quote is not closed|has 9 cells"),
])
def test_a_fault_of_a_list_is_one_sentence(tmp_path, text, sentence):
    with pytest.raises(UserError, match=sentence) as failure:
        listed(tmp_path, text)
    assert "list.csv" in str(failure.value) and "\n" not in str(failure.value)


@pytest.mark.parametrize(("change", "sentence"), [
    (dict(time=None), "has no column 'time'"), (dict(quantity=[3, 99]), "quantity code 99, expected one of"),
])
def test_a_fault_of_a_netcdf_list_is_one_sentence(tmp_path, change, sentence):
    netcdf(tmp_path / "list.nc", **change)
    with pytest.raises(UserError, match=sentence):
        table.read_file(tmp_path / "list.nc")


@pytest.fixture(scope="module")
def cases(samples):
    return samples / "cases/observations"


def test_a_mark_of_comments_inside_quotes_is_none(cases, tmp_path):
    assert table.read_file(cases / "quoted.csv").candidates.table.station.tolist() == [b"A#1"]
    row = SOUNDING.splitlines()[0].replace("09393", '"A#1"')
    assert listed(tmp_path, f"# first\n{HEADER}{row} # last\n,,,\n").table.station.tolist() == [b"A#1"]


def test_a_column_twice_is_refused(cases):
    with pytest.raises(UserError, match="dup_header.csv: column 'value' stands there twice"):
        table.read_file(cases / "dup_header.csv")


def test_a_filler_is_no_elevation(cases):
    found = table.read_file(cases / "elev_9999.csv").candidates.table
    assert np.isnan(found.elevation).all() and found.flag.tolist() == [Flag.missing_position]


def test_at_sea_a_missing_elevation_is_zero(tmp_path):
    text = "quantity,value,lat,lon,time,message_type\ntemperature_2m,280,0,0,1989-01-01,SFCSHP\n"
    found = listed(tmp_path, text).table
    assert found.elevation.tolist() == [0] and found.flag.tolist() == [Flag.passed]


def test_pressures_that_look_like_hectopascal_are_warned_of(cases, tmp_path, caplog):
    assert table.read_file(cases / "hpa.csv").candidates.table.pressure.tolist() == [500]
    assert "hpa.csv: all pressures lie between 500 and 500; are they in hPa?" in caplog.text
    caplog.clear()
    listed(tmp_path, HEADER + SOUNDING)
    assert "hPa" not in caplog.text


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_cells_may_be_divided_by_commas_semicolons_or_tabs(tmp_path, delimiter):
    expected = listed(tmp_path, HEADER + SOUNDING).table
    found = listed(tmp_path, (HEADER + SOUNDING).replace(",", delimiter)).table
    for column in ("value", "lat", "time", "station", "report", "error"):
        np.testing.assert_array_equal(getattr(found, column), getattr(expected, column))


def test_the_case_of_semicolons(cases):
    assert table.read_file(cases / "semicolon.csv").candidates.table.value.tolist() == [253.2, 283.2]


def test_an_infinite_error_is_none_and_its_row_not_used(cases):
    found = observed(cases / "table_errors.csv", times.parse("1989010100"), source='"table"')
    fates = dict(zip(found.lat.tolist(), map(Flag, found.flag), strict=True))
    assert fates[10] == Flag.passed and fates[12] == fates[20] == Flag.missing_error


def test_many_rows_are_read_at_once(tmp_path):
    """Times and names are looked at once each, numbers as whole columns; rows keep their places."""
    n = 20_000
    rows = "\n".join(f"temperature,{200 + i / 1000},{i % 90},{i % 180},1989-01-01T{i % 24:02d}:00Z,50000,,120,S{i % 7},"
                     for i in range(n))
    found = listed(tmp_path, HEADER + rows).table
    np.testing.assert_allclose(found.value, 200 + np.arange(n) / 1000)
    reports = set(zip(found.station.tolist(), found.time.tolist(), found.lat.tolist(), found.lon.tolist(), strict=True))
    assert len(np.unique(found.report)) == len(reports)


def test_other_units_and_other_files_are_refused(tmp_path):
    netcdf(tmp_path / "list.nc")
    with netCDF4.Dataset(tmp_path / "list.nc", "a") as file:
        file["pressure"].units = "hPa"
    with pytest.raises(UserError, match="column pressure is in 'hPa', expected 'Pa'"):
        table.read_file(tmp_path / "list.nc")
    (tmp_path / "list.bin").write_bytes(b"\xff\xfe\x00binary")
    with pytest.raises(UserError, match="is neither NetCDF nor text"):
        table.read_file(tmp_path / "list.bin")
