"""Errors grow by the rules of GSI where observations repeat one another, and nowhere else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import observations as files
from contracts.variables import Flag, Quantity
from obsproc import inflation
from obsproc.__main__ import main
from obsproc.config import ErrorInflation
from tests.builders import TIME, observations
from tests.obsproc.cases import MODERN, observed

START = int(TIME.timestamp())
LEVELS = (200.0, 500.0, 850.0)
GSI = ErrorInflation(suspect=1.2, temperature_above_100_hpa=1.2, wind_above_50_hpa=1.2, repeats=True, layers=True)


def factors(chosen, **columns):
    n = max((np.size(values) for values in columns.values()), default=1)
    return inflation.factors(observations(np.full(n, 250.0), **columns), chosen, LEVELS)


def test_nothing_is_inflated_unless_asked_for():
    table = observations(np.zeros(3), quality=3, pressure=1000.0)
    assert inflation.apply(table, ErrorInflation(), LEVELS) is table


def test_a_suspect_row_weighs_less():
    assert factors(ErrorInflation(suspect=1.2), quality=[1, 2, 3, 4]).tolist() == [1, 1, 1.2, 1]


@pytest.mark.parametrize(("setting", "quantity", "bound"), [
    ("temperature_above_100_hpa", Quantity.temperature, 10_000.0),
    ("wind_above_50_hpa", Quantity.u_component_of_wind, 5_000.0),
    ("wind_above_50_hpa", Quantity.v_component_of_wind, 5_000.0)])
def test_high_up_errors_are_larger(setting, quantity, bound):
    chosen = ErrorInflation(**{setting: 1.2})
    pressure = [bound - 1, bound, bound + 1, bound - 1]
    quantities = [quantity, quantity, quantity, Quantity.specific_humidity]
    assert factors(chosen, pressure=pressure, quantity=quantities).tolist() == [1.2, 1, 1, 1]
    assert factors(chosen, pressure=1000.0, quantity=Quantity.temperature_2m).tolist() == [1]


def slowly_repeated(table, weight, seconds):
    """By the definition, pair by pair."""
    d = np.ones(len(table))
    for i in range(len(table)):
        for j in range(len(table)):
            same = all(getattr(table, name)[i] == getattr(table, name)[j] for name in ("lat", "lon", "quantity"))
            same &= bool(table.at_surface[i]) or table.pressure[i] == table.pressure[j]
            if i != j and same:
                d[i] += 1 - (1 - weight) * min(1, abs(table.time[i] - table.time[j]) / seconds) ** 2
    return d


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 20_000), st.sampled_from([3, 7, 8])),
                min_size=1, max_size=12))
def test_a_repetition_counts_by_its_nearness_in_time(rows):
    lat, level, time, quantity = (np.array(column) for column in zip(*rows, strict=True))
    table = observations(np.zeros(len(rows)), lat=lat, pressure=50_000.0 + 1000 * level, time=START + time,
                         quantity=quantity)
    np.testing.assert_allclose(inflation.repeated(table, 0.75, 10_800.0), slowly_repeated(table, 0.75, 10_800.0))


def test_n_reports_at_one_time_weigh_as_one():
    """n errors that are all the same: inflated by √n their information adds up to that of one."""
    factor = factors(ErrorInflation(repeats=True), lat=[1.0] * 5 + [2.0])
    assert factor == pytest.approx([np.sqrt(5)] * 5 + [1])
    assert (1 / factor[:5] ** 2).sum() == pytest.approx(1)


def test_the_levels_of_a_sounding_in_one_layer_weigh_as_one():
    """Layers meet halfway in ln p: between 500 and 850 hPa at 652 hPa."""
    pressure = np.array([900.0, 700.0, 660.0, 640.0, 500.0, 100.0]) * 100
    assert factors(ErrorInflation(layers=True), pressure=pressure) == pytest.approx(
        np.sqrt([3, 3, 3, 2, 2, 1]))
    assert factors(ErrorInflation(layers=True), pressure=pressure, report=np.arange(6)).tolist() == [1] * 6


def test_rows_that_no_analysis_gets_count_for_nothing():
    flags = [Flag.passed, Flag.bad_mark, Flag.thinned, Flag.withheld]
    for chosen in (ErrorInflation(repeats=True), ErrorInflation(layers=True)):
        assert factors(chosen, flag=flags) == pytest.approx([np.sqrt(2), 1, 1, np.sqrt(2)])


def test_the_case_of_marks_and_heights(samples):
    found = observed(samples / "cases/observations/marks.prepbufr")
    larger = inflation.apply(found, ErrorInflation(suspect=1.2, temperature_above_100_hpa=1.2), LEVELS)
    rows = (found.station == b"QM3") & (found.quantity == Quantity.temperature)
    ratio = dict(zip(found.pressure[rows], (larger.error / found.error)[rows], strict=True))
    assert ratio[50_000] == pytest.approx(1.2) and ratio[7_000] == pytest.approx(1.2)


def test_ships_and_buoys_of_a_modern_cycle_repeat_themselves(samples):
    found = observed(samples / "prepbufr/gdas.t12z.sfcshp.prepbufr", MODERN, truncated='"accept"')
    rows = (found.quantity == Quantity.surface_pressure) & (found.flag == Flag.passed)
    factor = inflation.factors(found, ErrorInflation(repeats=True), LEVELS)[rows]
    assert (factor > 1).sum() > 200 and 1.5 < factor[factor > 1].mean() < 3.0


def test_the_program_inflates_where_the_experiment_says_so(samples, tmp_path):
    def made(section):
        path = tmp_path / "e.toml"
        path.write_text(f'[experiment]\nname = "e"\nwork = "{tmp_path}"\nstart = 2020-11-01T12:00:00Z\n'
                        f'end = 2020-11-01T12:00:00Z\n[observations]\nfiles = ["{samples}/cases/observations/'
                        f'marks.prepbufr"]\n{section}')
        main([str(path), "2020110112"])
        return files.read(tmp_path / "e/2020110112/observations.nc")[0]

    plain, larger = made(""), made("[error_inflation]\nsuspect = 1.2\n")
    suspect = plain.quality == 3
    np.testing.assert_allclose(larger.error[suspect], 1.2 * plain.error[suspect], rtol=1e-6)
    np.testing.assert_array_equal(larger.error[~suspect], plain.error[~suspect])
