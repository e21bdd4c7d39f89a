"""The first ensemble from real states: dates of other years, deviations around a centre, going on after a kill."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from contracts import config, state, static
from contracts.errors import UserError
from contracts.grid import Grid
from contracts.state import State, StateSpace
from model_server import beginnings
from model_server.config import Initial, Settings
from model_server.initial import initial
from networks.data import states

START = datetime(2011, 1, 15, 12, tzinfo=UTC)
YEARS = (2008, 2013)


def settings(folder, samples, more="", members=4) -> Settings:
    return config.decode(text(folder, samples, more, members), Settings, "case")


def text(folder, samples, more="", members=4) -> str:
    return f"""
        [experiment]
        name = "real"
        start = 2011-01-15T12:00:00Z
        end = 2011-01-16T12:00:00Z
        members = {members}
        work = "{folder}"
        [grid]
        nlat = 8
        nlon = 16
        [state]
        levels_hpa = [500, 850]
        [model]
        name = "persistence"
        [initial]
        source = "states"
        states = ["{folder}/%Y%m%d%H.nc"]
        years = [2008, 2013]
        every_hours = 24
        static = "{samples}/states/gfs_2011011512_2p5deg.grib2"
        {more}
        """


@pytest.fixture(scope="module")
def folder(tmp_path_factory, samples):
    """States of five years and some days on a finer grid: GFS and noise."""
    where = tmp_path_factory.mktemp("years")
    fine, chosen = Grid.regular(12, 24), settings(where, samples)
    space = StateSpace(fine, chosen.space.channels)
    base = states.read([str(samples / "states/gfs_2011011512_2p5deg.grib2")], START, space, "conservative")
    scale = np.abs(base).mean(axis=(1, 2), keepdims=True)
    for number, date in enumerate(beginnings.dates(chosen.initial, START)):
        if number < 12:
            noise = np.random.default_rng(number).standard_normal((len(space.channels), 1, 1))
            state.write(where / f"{date:%Y%m%d%H}.nc", State(space, base + 0.01 * scale * noise, date))
    return where


def test_the_same_day_of_other_years_comes_first_then_those_around_it():
    found = list(beginnings.dates(Initial(source="states", states=("x",), years=YEARS, every_hours=24), START))
    assert found[:5] == [START.replace(year=year) for year in (2008, 2009, 2010, 2012, 2013)]
    assert found[5] == datetime(2008, 1, 16, 12, tzinfo=UTC) and found[10] == datetime(2008, 1, 14, 12, tzinfo=UTC)
    last_of_2007 = 1  # fifteen days before, and of a year that is not named
    assert len(found) == len(set(found)) == 5 * 31 - last_of_2007
    assert all(abs(time - START) > timedelta(days=300) for time in found)
    assert max(abs(time - START.replace(year=2008)) for time in found[:150:5]) == timedelta(days=15)


def test_around_the_turn_of_the_year_no_other_years_are_asked_for():
    """The day before the first of January of the first year is of a year that one may not have."""
    initial = Initial(source="states", states=("x",), years=(1987, 1990), every_hours=24, within_days=1)
    found = list(beginnings.dates(initial, datetime(1989, 1, 1, 6, tzinfo=UTC)))
    days = [(1987, 1, 1), (1988, 1, 1), (1990, 1, 1), (1987, 1, 2), (1988, 1, 2), (1990, 1, 2), (1987, 12, 31),
            (1989, 12, 31)]
    assert found == [datetime(*day, 6, tzinfo=UTC) for day in days]


def test_a_leap_day_is_the_day_before_it_elsewhere():
    assert beginnings.same_day(datetime(2012, 2, 29, 6, tzinfo=UTC), 2011) == datetime(2011, 2, 28, 6, tzinfo=UTC)


def test_members_are_those_states_on_the_experiment_s_grid(folder, samples):
    chosen = settings(folder, samples)
    initial(chosen)
    background = chosen.experiment.folder.at(START).background
    for number, year in enumerate((2008, 2009, 2010, 2012), start=1):
        date = START.replace(year=year)
        expected = states.read([f"{folder}/%Y%m%d%H.nc"], date, chosen.space, "conservative")
        assert np.array_equal(state.read(background.member(number), chosen.space, START).data, expected)
    assert background.is_complete(4)
    orography = static.read(chosen.experiment.folder.static, chosen.space.grid).orography
    assert orography.max() > 2000


def test_around_a_centre_stand_their_deviations_and_the_mean_is_the_centre(folder, samples, tmp_path):
    gfs = f"{samples}/states/gfs_%Y%m%d%H_2p5deg.grib2"
    chosen = settings(folder, samples, f'centre = ["{gfs}"]\nfactor = 0.5\nwithin_days = 1', members=12)
    found = beginnings.of(chosen, START).members(range(1, 13))
    plain = beginnings.of(settings(folder, samples, members=12), START).members(range(1, 13))
    centre = states.read([gfs], START, chosen.space, "conservative")
    warm = chosen.space.index("temperature")
    assert found.mean(axis=0)[warm] == pytest.approx(centre[warm], rel=1e-6)
    assert found.std(axis=0)[warm] == pytest.approx(0.5 * plain.std(axis=0)[warm], rel=1e-3)
    assert (found[:, chosen.space.index("specific_humidity")] >= 0).all()
    alone = beginnings.of(chosen, START).members([7])  # whoever is made beside it
    assert np.array_equal(alone[0], found[6])


def test_a_run_that_was_killed_goes_on_with_the_same_bits(folder, samples, tmp_path):
    chosen = settings(folder, samples).experiment
    background = chosen.folder.at(START).background
    before = background.member(3).read_bytes()
    background.member(3).unlink()
    background.spread.unlink()
    initial(settings(folder, samples))
    assert np.array_equal(*(state.read(path, settings(folder, samples).space, START).data for path in (
        background.member(3), _copy(tmp_path / "m.nc", before))))


def _copy(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("old", "new", "words"), [
    ("members = 4", "members = 400", r"years \[2008, 2013\].*give 154 states for 400 members"),
    ("years = [2008, 2013]", "years = [2013, 2008]", "expected the first and the last"),
    ("years = [2008, 2013]", "", "needs states, where the files are, and years"),
    ("years = [2008, 2013]", "years = [1990, 1995]", r"1990011512.nc: no such file; expected the state of 1990011512"),
    ('name = "persistence"', 'name = "speedy"', "keeps a state of its own"),
])
def test_what_does_not_fit_is_told(folder, samples, old, new, words):
    changed = text(folder, samples).replace(old, new).replace('name = "real"', 'name = "other"')
    with pytest.raises(UserError, match=words):
        initial(config.decode(changed, Settings, "case"))
