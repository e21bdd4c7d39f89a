"""A usage table says of each row whether it is used, when, and with which error; the last line that fits counts."""

import numpy as np
import pytest

from contracts.errors import UserError
from contracts.variables import Flag, Quantity
from obsproc import convert, errors, usage
from obsproc.__main__ import main
from tests.builders import TIME, observations
from tests.obsproc.cases import VINTAGE, observed

START = int(TIME.timestamp())
HEADER = "types,quantity,station,use,window_hours,error,factor\n"
USED = (Quantity.temperature,)


def rules(tmp_path, text, header=HEADER):
    path = tmp_path / f"usage{abs(hash(text))}.csv"
    path.write_text(header + text)
    return usage.read(path)


def fates(found, **columns):
    n = max((np.size(values) for values in columns.values()), default=1)
    table = observations(np.zeros(n), **columns)
    return usage.before_errors(table, table.time, found, USED, START).flag.tolist()


def test_without_a_rule_the_quantities_of_the_experiment_are_used():
    table = dict(quantity=[3, 6, 6], flag=[Flag.passed, Flag.passed, Flag.bad_mark])
    assert fates((), **table) == [Flag.passed, Flag.monitored, Flag.bad_mark]


def test_the_last_line_that_fits_counts(tmp_path):
    found = rules(tmp_path, "*,*,,use,,,\n120-139,*,,monitor,,,\n131,temperature,,use,,,\n"
                            "131,temperature,A,reject,,,\n")
    assert fates(found, type=[120, 131, 140, 131, 131], quantity=[3, 3, 3, 5, 3],
                 station=np.array(["B", "B", "B", "B", "A"], "S8")) == [
        Flag.monitored, Flag.passed, Flag.passed, Flag.monitored, Flag.error_table_excludes]


def test_a_window_narrows_and_an_empty_cell_leaves_what_was_said_before(tmp_path):
    found = rules(tmp_path, "120,*,,use,1.5,,\n120,temperature,,,,2.0,\n")
    assert fates(found, time=START + np.array([5400, 5401, -5401, 0])) == [
        Flag.passed, Flag.out_of_window, Flag.out_of_window, Flag.passed]
    table = observations([1.0], error=0.5)
    assert usage.before_errors(table, table.time, found, USED, START).error.tolist() == [2.0]


def test_a_factor_multiplies_whatever_error_there_is(tmp_path):
    found = rules(tmp_path, "120-129,*,,,,,1.3\n121,*,,,,,2\n")
    table = observations(np.zeros(3), error=0.5, type=[120, 121, 220])
    assert usage.after_errors(table, found, np.full(3, 270.0)).error == pytest.approx([0.65, 1.0, 0.5])


def test_a_gross_limit_is_so_many_errors_within_bounds(tmp_path):
    found = rules(tmp_path, "120,*,,,,,2,4,1.5,3\n121,*,,,,,,4,,\n",
                  header="types,quantity,station,use,window_hours,error,factor,gross,least_error,most_error\n")
    table = observations(np.zeros(5), error=np.array([0.5, 1.0, 5.0, 0.5, 0.5]), type=[120, 120, 120, 121, 220])
    done = usage.after_errors(table, found, np.full(5, 270.0))
    np.testing.assert_allclose(done.largest_departure, [4 * 1.5, 4 * 2.0, 4 * 3.0, 4 * 0.5, np.nan])
    np.testing.assert_allclose(done.error, [1.0, 2.0, 10.0, 0.5, 0.5])  # bounds are of the limit only


def test_the_limits_of_a_convinfo_file_are_those_of_gsi(tmp_path):
    """gross times the error between ermin and ermax: ps in hPa, of q in percent of relative humidity."""
    found = rules(tmp_path, CONVINFO, header="")
    quantity = [Quantity.surface_pressure, Quantity.temperature, Quantity.temperature, Quantity.specific_humidity]
    table = observations(np.zeros(4), type=[120, 130, 130, 131], quantity=np.array(quantity), pressure=85_000.0,
                         error=np.array([50.0, 0.1, 3.0, 1.0]))
    largest = usage.after_errors(table, found, np.full(4, 280.0)).largest_departure
    humid = 7.0 * convert.saturation_humidity(np.array(280.0), np.array(85_000.0))  # ermax is all of saturation
    np.testing.assert_allclose(largest, [5.0 * 100.0, 7.0 * 1.3, 7.0 * 3.0, humid], rtol=1e-6)


CONVINFO = """!otype  type  sub iuse twindow numgrp ngroup nmiter gross ermax ermin var_b var_pg ithin rmesh pmesh npred
 ps       120    0    1    3.0      0      0      0  5.0  3.0  1.0  5.0 0.000300     0    0.     0.    0    0.
 t        130    0    1    1.5      0      0      0  7.0  5.6  1.3  7.0 0.001000     0    0.     0.    0    0.
 uv       257  257   -1    2.5      0      0      0  2.5 20.1  1.4  2.5 0.005000     5   200.   100.   0    0.
 uv       257  270    1    2.5      0      0      0  2.5 20.1  1.4  2.5 0.005000     5   200.   100.   0    0.
 q        131    0   -1    3.0      0      0      0  7.0 100. 10.0  7.0 0.050000     0    0.     0.    0    0.
 q        132    0   -2    3.0      0      0      0  7.0 100. 10.0  7.0 0.050000     0    0.     0.    0    0.
 sst      180    0   -1    3.0      0      0      0  8.0 12.0  0.5  8.0 0.000000     0    0.     0.    0    0.
"""


def test_a_convinfo_file_of_gsi_is_read_as_it_is(tmp_path):
    found = rules(tmp_path, CONVINFO, header="")
    quantities = [Quantity.surface_pressure, Quantity.temperature, Quantity.u_component_of_wind,
                  Quantity.specific_humidity, Quantity.specific_humidity]
    assert fates(found, type=[120, 130, 257, 131, 132], quantity=quantities) == [
        Flag.passed, Flag.passed, Flag.passed, Flag.monitored, Flag.error_table_excludes]
    assert fates(found, type=130, quantity=Quantity.temperature_2m, time=START + np.array([5400, 5401])) == [
        Flag.passed, Flag.out_of_window]


@pytest.mark.parametrize(("text", "sentence"), [
    ("120,*,,perhaps,,,\n", "line 2: use is 'perhaps', expected use, monitor, reject or nothing"),
    ("139-120,*,,use,,,\n", "line 2: types are '139-120', expected a report type"),
    ("120,warmth,,use,,,\n", r"line 2: unknown quantity 'warmth'; known: \*, u_component"),
    ("120,*,,use,-1,,\n", "line 2: window_hours is -1, expected a number more than 0"),
    ("120,*,,use,,soon,\n", "line 2: column error is 'soon', expected a number"),
])
def test_a_fault_of_a_usage_table_is_one_sentence(tmp_path, text, sentence):
    with pytest.raises(UserError, match=sentence):
        rules(tmp_path, text)


def test_a_table_that_is_not_there_is_one_sentence(samples):
    with pytest.raises(UserError, match=r"no such usage table .*check \[observations\] usage"):
        observed(samples / "prepbufr/fixtures/prepqm89010112_1msg_per_type.prepbufr", VINTAGE, usage='"nowhere.csv"')


def test_the_default_printed_changes_nothing_where_it_is_given(samples, tmp_path, capsys):
    path = tmp_path / "e.toml"
    path.write_text('[experiment]\nname = "e"\nstart = 1989-01-01T12:00:00Z\nend = 1989-01-01T12:00:00Z\n')
    main(["usage", str(path)])
    printed = capsys.readouterr().out
    (tmp_path / "usage.csv").write_text(printed)
    file = samples / "prepbufr/fixtures/prepqm89010112_1msg_per_type.prepbufr"
    plain, given = (observed(file, VINTAGE, **more) for more in ({}, {"usage": f'"{tmp_path}/usage.csv"'}))
    np.testing.assert_array_equal(plain.flag, given.flag)
    np.testing.assert_array_equal(plain.error, given.error)
    assert "surface_pressure,,use,,," in printed and "geopotential_height" not in printed


def test_errors_of_the_gfs_can_be_chosen(samples):
    """Its temperatures of SYNOP have an error, those of CDAS do not."""
    file = samples / "prepbufr/fixtures/prepqm89010112_1msg_per_type.prepbufr"
    of_cdas, of_gfs = (observed(file, VINTAGE, errors=f'"{name}"') for name in errors.PACKAGED)
    assert (of_cdas.error != of_gfs.error).any()
    with pytest.raises(UserError, match="no such error table"):
        observed(file, VINTAGE, errors='"nowhere"')
