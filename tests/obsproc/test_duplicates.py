"""What came twice is used once: of equal rows the best, of copies of a report the fuller one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import observations as tables
from contracts.variables import Flag, Quantity
from obsproc import duplicates
from tests.builders import TIME, observations
from tests.obsproc.cases import VINTAGE, observed

START = int(TIME.timestamp())

def repeated(n=2, **columns):
    return (duplicates.reject_rows(observations(np.arange(float(n)), **columns)).flag == Flag.duplicate).tolist()


def test_the_first_of_equal_rows_stays():
    assert repeated(3) == [False, True, True]


def test_the_better_mark_stays():
    assert repeated(3, quality=[3, 1, 2]) == [True, False, True]


def test_a_rejected_row_is_nobody_s_duplicate():
    assert repeated(2, flag=[Flag.bad_mark, Flag.passed]) == [False, False]


@pytest.mark.parametrize("column", ["lat", "lon", "type", "pressure", "quantity", "station"])
def test_rows_that_differ_in_place_kind_or_station_are_no_duplicates(column):
    values = {"station": np.array([b"A", b"B"]), "quantity": [3, 5]}.get(column, [10.0, 11.0])
    assert repeated(2, **{column: values}) == [False, False]
    assert repeated(2, time=START + np.array([0, 1])) == [False, False]


def test_at_the_surface_the_pressure_may_be_unknown():
    assert repeated(2, quantity=Quantity.temperature_2m, pressure=[np.nan, 99_000.0]) == [False, True]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.booleans()), max_size=30))
def test_of_each_observation_one_row_stays_and_none_is_better(rows):
    station, mark, good = (np.array(column) for column in zip(*rows, strict=True)) if rows else np.zeros((3, 0))
    table = observations(np.zeros(len(rows)), station=station.astype("S8"), quality=mark,
                         flag=np.where(good, Flag.passed, Flag.monitored))
    left = duplicates.reject_rows(table)
    for name in np.unique(table.station):
        same = (table.station == name) & (table.flag == Flag.passed)
        stays = same & (left.flag == Flag.passed)
        assert stays.sum() == min(1, same.sum())
        assert (table.quality[stays] == table.quality[same].min(initial=99)).all()
    changed = left.flag != table.flag
    assert (left.flag[changed] == Flag.duplicate).all()


LADDER = np.array([92_500.0, 85_000.0, 70_000.0, 50_000.0, 40_000.0, 30_000.0, 25_000.0, 20_000.0])


def sounding(report, levels=slice(None), off=0.0, quantity=Quantity.temperature, **columns):
    """Temperatures, or another quantity, of one balloon at some mandatory levels, `off` by so much."""
    pressure = LADDER[levels]
    return observations(np.linspace(280.0, 220.0, len(LADDER))[levels] + off, quantity=quantity, pressure=pressure,
                        report=report, **columns)


def copies(*reports):
    """Numbers of the reports that lost all, and of those that lost some rows."""
    table = duplicates.reject_reports(tables.concatenate(reports))
    lost = {int(r): (table.flag[table.report == r] == Flag.duplicate).mean() for r in np.unique(table.report)}
    return [r for r, share in lost.items() if share == 1], [r for r, share in lost.items() if 0 < share < 1]


def test_the_fuller_of_two_copies_stays_whatever_their_order():
    full, part = sounding(0), sounding(1, slice(2, 7), off=0.3, lat=0.4, time=START + 1800)
    assert copies(full, part) == copies(part, full) == ([1], [])


def test_of_many_copies_one_stays():
    assert copies(*(sounding(r, slice(0, 8 - r), off=0.1 * r) for r in range(4))) == ([1, 2, 3], [])


@pytest.mark.parametrize("change", [
    dict(station=b"00002"), dict(time=START + 3660), dict(lat=1.2), dict(off=2.0), dict(message_type=b"AIRCFT"),
    dict(quantity=Quantity.u_component_of_wind)])
def test_reports_that_differ_in_station_time_place_values_or_kind_are_two(change):
    assert copies(sounding(0), sounding(1, slice(2, 7), **change)) == ([], [])


def test_aircraft_and_reports_without_a_name_are_left_alone():
    for column in (dict(message_type=b"AIRCFT"), dict(station=b""), dict(station=b"/////")):
        assert copies(sounding(0, **column), sounding(1, **column)) == ([], [])


def test_the_mandatory_and_the_significant_levels_of_one_sounding_are_no_copies():
    assert copies(sounding(0, slice(0, 4)), sounding(1, slice(3, 8))) == ([], [])


def test_what_only_the_smaller_report_has_stays():
    wind = sounding(1, slice(0, 3), quantity=Quantity.u_component_of_wind)
    found = duplicates.reject_reports(tables.concatenate((sounding(0), sounding(1, slice(1, 6)), wind)))
    lost = found.flag == Flag.duplicate
    assert lost[found.report == 1].sum() == 5 and not lost[found.quantity == Quantity.u_component_of_wind].any()


def test_an_outlier_does_not_make_two_of_one_report():
    part = sounding(1, slice(0, 7))
    value = part.value.copy()
    value[3] += 9.0
    assert copies(sounding(0), part.with_columns(value=value)) == ([1], [])


def test_rejected_rows_make_no_report_fuller():
    bad = sounding(0, flag=Flag.bad_mark)
    assert copies(bad, sounding(1, slice(0, 3))) == ([], [])


def station(report, off=0.0, **columns):
    quantity = [Quantity.surface_pressure, Quantity.temperature_2m, Quantity.u_component_of_wind_10m]
    return observations(np.array([99_000.0, 280.0, 3.0]) + off, quantity=quantity, report=report,
                        message_type=b"ADPSFC", **columns)


@pytest.mark.parametrize(("change", "lost"), [
    (dict(lat=0.04), [1]), (dict(lon=0.04, off=0.05), [1]),
    (dict(lat=0.2), []), (dict(time=START + 600), []), (dict(off=1.5), []), (dict(station=b"00002"), [])])
def test_a_station_repeated_with_coordinates_of_another_precision_is_one(change, lost):
    """Ten minutes later it may report the same numbers again: that is another observation."""
    assert copies(station(0), station(1, **change))[0] == lost


@given(st.permutations(range(6)))
def test_the_order_of_different_reports_does_not_matter(order):
    made = [sounding(r, slice(0, 3 + r // 2), off=5.0 * (r % 2), station=b"0000%d" % (r % 2)) for r in range(6)]
    assert copies(*(made[r] for r in order)) == ([0, 1, 2, 3], [])


def test_two_archives_of_the_reanalysis_and_two_codes_of_a_balloon(samples):
    """Ten soundings of 1989-01-01 12 UTC came from two archives, one of GDAS 2020-11-01 in two codes."""
    reanalysis = observed(samples / "prepbufr/prepqm89010112", VINTAGE)
    lost = reanalysis.select((reanalysis.flag == Flag.duplicate) & (reanalysis.message_type == b"ADPUPA"))
    copied = {b"26063", b"54511", b"94998", b"48657", b"C7L", b"56964", b"52818", b"24688", b"44212", b"60559"}
    assert copied <= set(lost.station)
    for name in copied:
        rows = reanalysis.select((reanalysis.station == name) & (reanalysis.message_type == b"ADPUPA"))
        assert len(np.unique(rows.report[rows.flag == Flag.passed])) == 1
    modern = observed(samples / "prepbufr/ADPUPA.prepbufr.110msg")
    assert (modern.flag[modern.station == b"59431"] == Flag.duplicate).sum() == 102
