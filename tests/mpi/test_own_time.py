"""Observations compared with the background at their own times, through the whole program."""

import dataclasses
import shutil

import numpy as np
import pytest

from contracts import observations, state
from contracts.observations import Source
from contracts.slots import Slots
from contracts.variables import Flag
from tests import builders
from tests.builders import TIME
from tests.letkf_mpi import case
from tests.letkf_mpi.case import NOW
from tests.mpi.launcher import NEXT, alone, analyse

SLOTS = Slots(every_hours=2.0, window_hours=(-2.0, 3.0))
SECTION = "[slots]\nevery_hours = 2\nwindow_hours = [-2, 3]\n"
MEMBERS = 3


def made_with(folder, method: str, change: float = 0.0, more: str = "") -> case.Case:
    """Slots in which every member moves by `change` of its climate's spread in an hour; observations of all times."""
    folder.mkdir(exist_ok=True)
    made = case.make(folder, MEMBERS, nlat=6, nlon=8, more=f'{SECTION}[analysis]\ntime = "{method}"\n{more}')
    table, _ = observations.read(made.files.observations)
    seconds = int(TIME.timestamp()) + np.random.default_rng(1).integers(-7200, 7201, len(table))
    seconds[0] = int(TIME.timestamp()) + 3 * 3600  # after the last slot
    observations.write(made.files.observations, table.with_columns(time=seconds), Source(TIME, (TIME, TIME)))
    for number in range(1, MEMBERS + 1):
        now = state.read(made.files.background.member(number), made.space)
        rate = change * (builders.random_state(made.space, 900 + number).data - now.data)
        for offset in SLOTS.around:
            moved = now.data + np.float32(offset.total_seconds() / 3600) * rate
            state.write(made.files.background.slot(offset).member(number),
                        state.State(made.space, moved, TIME + offset), number)
    return made


def members(made) -> np.ndarray:
    return np.stack([state.read(path, made.space).data for path in made.files.analysis.members(MEMBERS)])


def test_where_the_background_does_not_change_in_time_all_three_give_the_same_bits(tmp_path):
    found = {}
    for method in ("instant", "fgat", "4d"):
        made = made_with(tmp_path / method, method)
        analyse(made)
        table, _ = observations.read_departures(made.files.departures)
        found[method] = members(made), table
    for method in ("fgat", "4d"):
        X, table = found[method]
        assert table.flag[0] == Flag.out_of_window and found["instant"][1].flag[0] != Flag.out_of_window
        same = table.flag[1:] == found["instant"][1].flag[1:]
        assert same.all()
        for name in ("background_mean", "background_spread"):
            assert np.array_equal(getattr(table, name), getattr(found["instant"][1], name), equal_nan=True)
        assert np.array_equal(X, found["fgat"][0])


@pytest.mark.parametrize("method", ["fgat", "4d"])
def test_departures_are_at_the_observations_times_and_bits_do_not_depend_on_ranks(tmp_path, method):
    more = '[inflation]\nmethod = "constant"\n'
    made, instant = made_with(tmp_path / "own", method, 0.1, more), made_with(tmp_path / "instant", "instant", 0.1)
    for one in (made, instant):
        analyse(one)
    expected = case.contents(made.files)
    own, now = (observations.read_departures(one.files.departures)[0] for one in (made, instant))
    used = (own.flag == Flag.assimilated) & (now.flag == Flag.assimilated)
    moved = np.abs(own.background_mean - now.background_mean)[used] / own.error[used]
    far = np.abs(own.time - int(TIME.timestamp()))[used] > 3600
    assert moved[far].mean() > 2 * moved[~far].mean() > 0
    same_spread = np.isclose(own.background_spread, now.background_spread, rtol=1e-12)[used]
    assert same_spread.all() if method == "fgat" else not same_spread.any()
    assert not np.array_equal(members(made), members(instant))

    shutil.rmtree(made.files.analysis.folder)
    made.files.departures.unlink()
    analyse(made, ranks=5)
    found = case.contents(made.files)
    assert [name for name in expected if found[name] != expected[name]] == []


def test_the_first_time_may_lack_slots_and_a_later_one_may_not(tmp_path):
    made = made_with(tmp_path, "4d")
    shutil.rmtree(made.files.background.folder / "slots")
    job = analyse(made, time=(NOW,))
    assert "H(x) of this first time is at the analysis time" in job.stderr
    later = TIME + made.settings.experiment.step
    case.add_inputs(dataclasses.replace(made), later)
    job = alone("-m", "letkf_mpi.analysis", made.toml, NEXT)
    assert job.returncode == 1 and "slots/-0200/m0001.nc: no such file" in job.stderr
