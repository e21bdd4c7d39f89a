"""IODA files of others are judged like every other source, whatever they leave to be understood."""

import subprocess
import sys

import netCDF4
import numpy as np
import pytest

from contracts import observations
from contracts.errors import UserError
from contracts.variables import Flag, Quantity
from obsproc import convert, ioda_export
from obsproc.__main__ import main
from tests import builders
from tests.obsproc.cases import MODERN, observed, settings
from tests.obsproc.ioda_case import SOURCE


@pytest.fixture(scope="module")
def cases(samples):
    return samples / "cases/observations"


def read(path, **chosen):
    return observed(path, source='"ioda"', **chosen)


def fates(table):
    return {station: Flag(int(flag)) for station, flag in zip(table.station.tolist(), table.flag, strict=True)}


def test_surface_report_types_make_quantities_of_the_surface(cases):
    found = read(cases / "ioda_surface.nc", use='["temperature_2m", "specific_humidity_2m", "surface_pressure", '
                                                '"u_component_of_wind_10m"]')
    assert set(found.quantity) == {Quantity.temperature_2m, Quantity.specific_humidity_2m, Quantity.surface_pressure,
                                   Quantity.u_component_of_wind_10m}
    assert (found.flag == Flag.passed).all() and (found.elevation == 500).all()
    kinds = dict(zip(found.type.tolist(), found.message_type.tolist(), strict=True))
    assert kinds[181] == kinds[287] == b"ADPSFC" and kinds[280] == b"SFCSHP"


def test_marks_window_range_and_errors_are_checked(cases):
    assert fates(read(cases / "ioda_marks.nc")) == {
        b"ST000": Flag.passed, b"ST001": Flag.bad_mark, b"ST002": Flag.bad_mark, b"ST003": Flag.missing_error,
        b"ST004": Flag.out_of_window, b"ST005": Flag.out_of_range}


def test_units_are_converted_or_refused(cases, tmp_path):
    assert read(cases / "ioda_hpa_units.nc").pressure.tolist() == [50_000, 30_000]
    changed = tmp_path / "furlong.nc"
    changed.write_bytes((cases / "ioda_hpa_units.nc").read_bytes())
    with netCDF4.Dataset(changed, "a") as file:
        file["MetaData/pressure"].units = "furlong"
    with pytest.raises(UserError, match="MetaData/pressure cannot be converted, its unit 'furlong' is none of Pa, hPa"):
        read(changed)


@pytest.mark.parametrize(("units", "expected", "number", "si"), [
    ("degC", "K", -10.0, 263.15), ("g kg-1", "kg kg-1", 8.0, 0.008), ("knots", "m s-1", 10.0, 5.1444444),
    ("hPa", "Pa", 500.0, 50_000.0), ("km", "m", 5.5, 5500.0)])
def test_units_of_others_in_si(units, expected, number, si):
    factor, offset = convert.scale(units, expected)
    assert factor * number + offset == pytest.approx(si)


def test_a_virtual_temperature_is_converted_with_the_humidity_beside_it(cases):
    found = read(cases / "ioda_tv.nc")
    temperature = found.select(found.quantity == Quantity.temperature)
    expected = convert.sensible_temperature(np.array([290.0, 280.0]), np.array([0.01, 0.006]))
    assert sorted(temperature.value) == pytest.approx(sorted([255.0, *expected]))
    assert (temperature.flag == Flag.passed).all() and not (found.quantity == Quantity.virtual_temperature).any()
    np.testing.assert_allclose(np.sort(temperature.error), np.sort([1.0, *(expected / [290.0, 280.0])]), rtol=1e-6)


def test_a_number_that_its_column_cannot_hold_is_one_sentence(cases, tmp_path):
    changed = tmp_path / "wide.nc"
    changed.write_bytes((cases / "ioda_marks.nc").read_bytes())
    with netCDF4.Dataset(changed, "a") as file:
        file["ObsType/airTemperature"][0] = 70_000
    with pytest.raises(UserError, match="wide.nc: airTemperature: column type must hold whole numbers of 16 bits"):
        read(changed)


def test_importing_a_file_of_others_judges_it_too(cases, tmp_path):
    main(["ioda", "import", str(cases / "ioda_marks.nc"), str(tmp_path / "in.nc")])
    table, source = observations.read(tmp_path / "in.nc")
    assert (table.flag == Flag.passed).sum() == 1 and source.time == MODERN


def test_a_file_of_ours_as_a_source_gives_the_rows_that_were_still_good(real, tmp_path):
    table, _, _ = real
    flag = np.where(np.arange(len(table)) % 2, Flag.duplicate, Flag.withheld)
    path = tmp_path / "ours.nc"
    ioda_export.export_file(path, table.with_columns(flag=flag), SOURCE)
    found = read(path)
    assert (found.flag == Flag.duplicate).sum() >= (flag == Flag.duplicate).sum()
    assert not (found.flag == Flag.withheld).any() and (found.flag == Flag.passed).any()


def test_a_group_that_contains_itself_is_one_sentence(samples):
    path = samples / "cases/hostile/hdf5_link_to_itself.nc"
    with pytest.raises(UserError, match="hdf5_link_to_itself.nc: /loop is a group that contains itself"):
        read(path)


def test_a_dimension_that_no_memory_holds_is_one_sentence(samples):
    with pytest.raises(UserError, match="hdf5_dimension_3e9.nc"):
        observed(samples / "cases/hostile/hdf5_dimension_3e9.nc", source='"table"')


def test_it_is_a_source_of_the_program(cases, tmp_path):
    chosen = settings(cases / "ioda_surface.nc", source='"ioda"')
    path = tmp_path / "e.toml"
    path.write_text(builders.experiment("e", SOURCE.time, work=str(tmp_path)) +
                    f'[observations]\nsource = "ioda"\nfiles = ["{chosen.observations.files[0]}"]\n')
    done = subprocess.run([sys.executable, "-m", "obsproc", str(path), "2020110112"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
