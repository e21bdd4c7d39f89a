"""A level stands where its sonde was, unless that cannot be; its report decides whether it belongs to the window."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import sphere
from contracts.variables import Flag, Quantity
from obsproc import errors
from tests.builders import TIME
from tests.obsproc.cases import MODERN, VINTAGE, observed
from tests.obsproc.made import rows

START = int(TIME.timestamp())


@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(-90, 90), st.floats(-180, 180))
def test_an_arc_is_the_angle_between_two_vectors(lat, lon, other_lat, other_lon):
    def vector(north, east):
        north, east = np.deg2rad(north), np.deg2rad(east)
        return np.array([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)])

    a, b = vector(lat, lon), vector(other_lat, other_lon)
    expected = np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b)
    assert sphere.arc(lat, lon, other_lat, other_lon) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(("drift", "place"), [
    ((305.0, 82.6), (305.0, 82.6)),  # near the pole degrees of longitude are short
    ((0.0, 72.0), (300.0, 82.5)), ((300.0, -82.5), (300.0, 82.5)),  # too far
    ((300.5, np.nan), (300.0, 82.5)), ((np.nan, 82.6), (300.0, 82.5)),  # half a place is none
])
def test_a_drift_of_more_than_ten_degrees_or_by_half_falls_back_to_the_launch(drift, place):
    found = rows(TOB=-40.0, XDR=drift[0], YDR=drift[1])
    assert (found.lon[0], found.lat[0]) == place and found.flag.tolist() == [Flag.passed]


@pytest.mark.parametrize(("hours", "expected"), [(3.4, 3.4), (3.6, -0.5), (-4.6, -0.5)])
def test_a_time_more_than_four_hours_from_the_launch_falls_back_to_it(hours, expected):
    assert rows(TOB=-40.0, HRDR=hours).time.tolist() == [START + round(3600 * expected)]


def test_without_a_launch_the_drift_is_all_there_is():
    nowhere = {"XOB": np.nan, "YOB": np.nan, "DHR": np.nan}
    found = rows(TOB=-40.0, header=nowhere, XDR=20.0, YDR=10.0, HRDR=1.0)
    assert (found.lon[0], found.lat[0], found.time[0]) == (20.0, 10.0, START + 3600)
    assert found.flag.tolist() == [Flag.passed]


def test_the_case_of_drifts_that_cannot_be(samples):
    found = observed(samples / "cases/observations/drift.prepbufr")
    start = int(MODERN.timestamp())
    first = found.select(found.station == b"DRIFT1")
    where = dict(zip((first.pressure / 100).tolist(), zip(first.lon, first.lat, first.time - start, strict=True),
                     strict=True))
    assert where[500] == (10.5, 50.1, 1440) and where[400] == (10.0, 50.0, 1800)
    assert where[300] == (11.0, 50.2, 0) and where[250] == (10.0, 50.0, 2160)
    late = found.select(found.station == b"LATE")
    assert late.flag.tolist() == [Flag.passed] * 2 and late.time.max() - start == round(3.4 * 3600)


def test_no_sounding_of_the_reanalysis_is_cut_off_by_the_window(samples):
    """Five of 1989-01-01 12 UTC, launched inside it, lost 125 rows of their upper part."""
    found = observed(samples / "prepbufr/prepqm89010112", VINTAGE)
    assert not (found.flag == Flag.out_of_window).any()
    outside = np.abs(found.time - int(VINTAGE.timestamp())) > 3 * 3600
    assert outside.sum() == 125 and (found.flag[outside] == Flag.passed).any()


@pytest.mark.parametrize(("lost", "value"), [("YOB", 202.9), ("YOB", -90.1), ("XOB", 400.0)])
def test_what_is_not_on_the_globe_is_no_place(lost, value):
    found = rows(TOB=-40.0, header={lost: value})
    assert found.flag.tolist() == [Flag.missing_position]
    assert np.isnan(found.lat[0] if lost == "YOB" else found.lon[0])


def test_the_poles_are_places_however_a_decoder_rounds_them():
    found = rows(TOB=-40.0, header={"YOB": -90.00000000000001})
    assert found.flag.tolist() == [Flag.passed] and found.lat.tolist() == [-90.0]


@pytest.mark.parametrize("pressure", [0.0, -1.0, np.nan])
def test_a_pressure_of_nothing_places_nothing(pressure):
    assert rows(TOB=-40.0, QOB=100.0, POB=pressure).flag.tolist() == [Flag.missing_position] * 2
    surface = rows(message_type="ADPSFC", header={"TYP": 181.0}, CAT=0, POB=pressure, TOB=10.0)
    assert Flag.missing_position not in surface.flag  # the station's height places them


@pytest.mark.parametrize("elevation", [np.nan, 9999.0])
@pytest.mark.parametrize("message_type", ["SFCSHP", "ASCATW", "SPSSMI"])
def test_at_sea_what_has_no_height_stands_at_sea_level(message_type, elevation):
    found = rows(message_type=message_type, header={"TYP": 280.0, "ELV": elevation}, CAT=0, UOB=5.0, VOB=5.0)
    assert found.elevation.tolist() == [0, 0] and found.flag.tolist() == [Flag.passed] * 2


def test_the_cases_of_places_that_are_none(samples):
    cases = samples / "cases"
    zero = observed(cases / "observations/pob_zero.prepbufr")
    at_500 = zero.select((zero.station == b"POB0") & (zero.pressure == 50_000))
    assert at_500.flag.tolist() == [Flag.passed] and (zero.flag == Flag.passed).sum() == 1
    assert (zero.flag == Flag.missing_position).sum() == len(zero) - 1
    flipped = observed(cases / "hostile/prepbufr_latitude_203.prepbufr", datetime(1989, 1, 2, tzinfo=UTC))
    assert (np.abs(flipped.lat[flipped.flag != Flag.missing_position]) <= 90).all()
    assert (flipped.flag == Flag.missing_position).any()
    ships = observed(cases / "observations/ship_no_elev.prepbufr")
    pressure = ships.select(ships.quantity == Quantity.surface_pressure)
    assert pressure.elevation.tolist() == [0, 0] and pressure.flag.tolist() == [Flag.passed] * 2


def test_the_pressure_of_a_station_whose_height_failed_the_hydrostatic_check_is_not_used(samples):
    found = observed(samples / "cases/observations/marks.prepbufr")
    failed = found.select(found.station == b"ZQM13")
    flags = dict(zip(map(Quantity, failed.quantity), failed.flag, strict=True))
    assert flags == {Quantity.surface_pressure: Flag.bad_mark, Quantity.temperature_2m: Flag.passed}
    assert found.flag[found.station == b"LOWP"].tolist() == [Flag.passed] * 2


def test_scatterometer_winds_have_an_error():
    found = errors.cdas().at("wind", np.array([290]), np.array([101_000.0]))
    assert found == pytest.approx(1.5)
