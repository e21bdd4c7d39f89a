"""A sounding of high resolution keeps as many levels as are asked for, spread over its height, mandatory ones first."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import observations as files
from contracts.variables import Flag, Quantity
from obsproc import soundings
from obsproc.__main__ import main
from tests.builders import observations

FINE = np.exp(np.linspace(np.log(100_000.0), np.log(1000.0), 1000))


@given(st.lists(st.integers(1000, 100_000), min_size=1, max_size=300), st.integers(1, 50))
def test_at_most_so_many_stay_and_one_in_each_step_that_has_any(pressure, most):
    pressure = np.array(pressure, float)
    stays = soundings.spread(pressure, most)
    height = np.log(pressure)
    reach = height.max() - height.min()
    step = np.minimum(((height - height.min()) / reach * most).astype(int), most - 1) if reach else np.zeros(1, int)
    assert stays.sum() == len(np.unique(step)) <= most
    assert stays.sum() == 1 or len(np.unique(step[stays])) == stays.sum()


def test_levels_stay_evenly_spread():
    kept = np.log(FINE[soundings.spread(FINE, 100)])
    assert len(kept) == 100 and np.abs(np.diff(kept)).max() < 1.5 * np.abs(np.diff(kept)).mean()


def test_mandatory_levels_go_before_all_others():
    pressure = np.append(FINE, [85_000.0, 50_000.0, 20_000.0])
    stays = soundings.spread(pressure, 50)
    assert stays[-3:].all() and stays.sum() == 50


def test_only_soundings_with_more_levels_are_thinned_and_both_winds_alike():
    wind = [observations(np.zeros(1000), quantity=q, pressure=FINE, type=220)
            for q in (Quantity.u_component_of_wind, Quantity.v_component_of_wind)]
    short = observations(np.zeros(90), pressure=FINE[:90], report=1)
    aircraft = observations(np.zeros(1000), pressure=FINE, report=2, message_type=b"AIRCFT")
    surface = observations(np.zeros(300), quantity=Quantity.temperature_2m, report=3)
    found = soundings.thin(files.concatenate([*wind, short, aircraft, surface]), 200)
    thinned = found.flag == Flag.thinned
    assert thinned.sum() == 2 * 800 and (found.report[thinned] == 0).all()
    np.testing.assert_array_equal(*(found.flag[found.quantity == q] for q in (1, 2)))


def test_rejected_and_withheld_rows_neither_count_nor_are_thinned():
    flag = np.where(np.arange(300) % 2, Flag.withheld, Flag.passed)
    table = observations(np.zeros(300), pressure=FINE[:300], flag=flag)
    assert soundings.thin(table, 200) is table


@pytest.mark.parametrize(("settings", "most"), [("", 200), ("[thinning]\nsounding_levels = 50\n", 50),
                                                ("[thinning]\nsounding_levels = 0\n", 449)])
def test_the_program_thins_a_sounding_of_high_resolution(samples, tmp_path, settings, most):
    time = datetime(2025, 2, 23, 12, tzinfo=UTC)
    path = tmp_path / "e.toml"
    path.write_text(f'[experiment]\nname = "e"\nwork = "{tmp_path}"\nstart = {time:%Y-%m-%dT%H:%M:%SZ}\n'
                    f'end = {time:%Y-%m-%dT%H:%M:%SZ}\n[observations]\nsource = "wmo"\n'
                    f'files = ["{samples}/wmo/temp_hires.bufr"]\n{settings}')
    main([str(path), f"{time:%Y%m%d%H}"])
    found = files.read(tmp_path / f"e/{time:%Y%m%d%H}/observations.nc")[0]
    temperatures = (found.quantity == Quantity.temperature) & (found.flag == Flag.passed)
    assert 0.8 * most < temperatures.sum() <= most
