"""Synthetic observations: where the stations stand, what they measure, and that it is the same every time."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from contracts import config, observations, state, static
from contracts.constants import HECTOPASCAL
from contracts.errors import UserError
from contracts.grid import Grid
from contracts.static import Static
from contracts.variables import Flag, Quantity
from obsoperator import Forward
from obsproc import synthetic
from obsproc.config import Settings, Synthetic
from tests import builders

SPACE = builders.space(32, 64)
SEA = builders.flat_static(SPACE.grid)
SETTINGS = Synthetic()
EXACT = Synthetic(wind_error=1e-9, temperature_error=1e-9, humidity_error=1e-12, surface_pressure_error_hpa=1e-9)


def half_land(grid: Grid) -> Static:
    """Land at 1000 m east of 180°, sea west of it."""
    land = np.broadcast_to((grid.lon >= 180).astype(float), grid.shape)
    return Static(grid, 1000 * land, land)


@given(st.integers(0, 1000))
def test_every_band_has_its_stations(seed):
    network = synthetic.network(SETTINGS, half_land(SPACE.grid), seed)
    assert tuple(np.histogram(network.lat, SETTINGS.band_edges)[0]) == SETTINGS.stations
    assert ((network.lon >= 0) & (network.lon < 360)).all()


def test_two_thirds_of_the_stations_stand_on_land():
    network = synthetic.network(SETTINGS, half_land(SPACE.grid), 1)
    assert (network.elevation >= 500).sum() == pytest.approx(204, abs=3)  # rounded band by band


def test_a_planet_without_land_keeps_its_stations():
    assert len(synthetic.network(SETTINGS, SEA, 1).lat) == sum(SETTINGS.stations)


def observed(seed=1, truth=None, settings=SETTINGS, fields=SEA):
    truth = truth or builders.random_state(SPACE)
    return synthetic.draw(truth, fields, synthetic.network(settings, fields, seed), settings, seed)


def test_all_levels_have_wind_and_temperature_and_the_lowest_have_humidity():
    few = observed(settings=Synthetic(humidity_levels=2))
    levels = {q: sorted(set(few.pressure[few.quantity == q])) for q in (1, 2, 3, 5)}
    assert levels[1] == levels[2] == levels[3] == sorted(builders.LEVELS)
    assert levels[5] == sorted(builders.LEVELS)[1:]
    assert (few.quantity == Quantity.surface_pressure).sum() == sum(SETTINGS.stations)


def test_errors_have_the_size_that_is_said():
    """Against observations without error, drawn from the same stream: the law of large numbers."""
    noisy, clean = observed(), observed(settings=EXACT)
    for quantity in np.unique(noisy.quantity):
        rows = noisy.quantity == quantity
        normalised = (noisy.value - clean.value)[rows] / noisy.error[rows]
        assert abs(normalised.mean()) < 5 / np.sqrt(rows.sum())
        assert normalised.std() == pytest.approx(1, abs=5 / np.sqrt(2 * rows.sum()))


@pytest.mark.parametrize("height", [0.0, 1500.0])
def test_an_observation_without_error_is_h_of_the_truth_for_whoever_reads_the_table(height):
    mountains = height * np.random.default_rng(0).uniform(size=SPACE.grid.shape)
    fields, truth = Static(SPACE.grid, mountains, np.ones(SPACE.grid.shape)), builders.random_state(SPACE)
    made = observed(truth=truth, settings=EXACT, fields=fields)
    H = Forward.of(made, SPACE, fields, 300.0)
    seen = (made.flag == Flag.passed) & (H.flag == Flag.passed)
    assert seen.mean() > 0.6 and np.unique(made.quantity[seen]).size == 5
    hx = H.apply(truth.data.reshape(len(SPACE.channels), -1))
    np.testing.assert_allclose(made.value[seen], hx[seen], rtol=1e-12, atol=1e-6)


def test_the_truth_is_interpolated_not_rounded_to_the_grid():
    """A field linear in latitude is observed at the station's own latitude."""
    truth = builders.random_state(SPACE)
    data = truth.data.copy()
    data[SPACE.index("temperature")] = (250 + SPACE.grid.lat / 10)[:, None]
    exact = Synthetic(temperature_error=1e-9, quantities=("temperature",))
    found = observed(truth=replace(truth, data=data), settings=exact)
    inside = abs(found.lat) < SPACE.grid.lat[-1]
    np.testing.assert_allclose(found.value[inside], (250 + found.lat / 10)[inside], atol=2e-5)


def test_the_same_seed_and_time_give_the_same_numbers_and_others_do_not():
    first, again = observed(), observed()
    np.testing.assert_array_equal(first.value, again.value)
    later = observed(truth=builders.random_state(SPACE, time=builders.TIME + timedelta(hours=6)))
    np.testing.assert_array_equal(first.lat, later.lat)
    assert (first.value != later.value).all()
    assert (observed(seed=2).lat != first.lat).all()


def test_no_sonde_measures_below_the_ground():
    truth = builders.random_state(SPACE)
    data = truth.data.copy()
    data[SPACE.index("surface_pressure")] = 900 * HECTOPASCAL
    found = observed(truth=replace(truth, data=data))
    aloft = found.quantity != Quantity.surface_pressure
    np.testing.assert_array_equal(found.flag == Flag.below_ground, aloft & (found.pressure > 900 * HECTOPASCAL))


def test_speed_and_relative_humidity_are_observed_with_errors_of_their_own():
    truth, names = builders.random_state(SPACE), ("wind_speed", "relative_humidity")
    chosen = Synthetic(wind_error=1e-9, relative_humidity_error=1e-9, humidity_levels=2, quantities=names)
    found = observed(truth=truth, settings=chosen)
    of_it = {name: found.select(found.quantity == Quantity[name]) for name in names}
    assert [len(np.unique(rows.pressure)) for rows in of_it.values()] == [len(builders.LEVELS), 2]
    assert set(of_it["wind_speed"].type) == {220} and set(of_it["relative_humidity"].type) == {120}
    components = observed(truth=truth, settings=EXACT)
    u, v = (components.value[components.quantity == code] for code in (1, 2))
    np.testing.assert_allclose(of_it["wind_speed"].value, np.hypot(u, v), atol=1e-7)
    drawn = observed(truth=truth, settings=Synthetic(humidity_levels=2, quantities=names))
    error = (drawn.value - found.value)[drawn.quantity == Quantity.relative_humidity]
    assert error.std() == pytest.approx(0.1, rel=0.1)


def test_a_quantity_that_the_truth_lacks_is_refused():
    """Before anything is made: by the settings alone."""
    text = f"""{builders.experiment()}[state]\non_levels = ["temperature", "geopotential"]\n[observations]
        source = "synthetic"\n[synthetic]\nquantities = ["{{}}"]\n"""
    assert config.decode(text.format("surface_pressure"), Settings, "case")
    with pytest.raises(UserError, match="relative_humidity needs specific_humidity, which the states .* do not carry"):
        config.decode(text.format("relative_humidity"), Settings, "case")


def test_a_quantity_without_an_error_is_refused():
    with pytest.raises(UserError, match="geopotential_height has no error"):
        observed(settings=Synthetic(quantities=("geopotential_height",)))


def test_a_window_has_the_observations_of_each_of_its_times_as_the_analyses_there_would(tmp_path):
    """But for the numbers of reports, which go on."""
    toml = tmp_path / "experiment.toml"
    toml.write_text(builders.experiment(work=str(tmp_path)) + """
[grid]
nlat = 32
nlon = 64
[state]
levels_hpa = [500, 850, 925]
[observations]
source = "synthetic"
window_hours = [0, 12]
[synthetic]
every_hours = 6
""")
    whole = config.load(toml, Settings)
    once = structs.replace(whole, synthetic=structs.replace(whole.synthetic, every_hours=None))
    static.write(whole.experiment.folder.static, SEA)
    times = [builders.TIME + timedelta(hours=hours) for hours in (0, 6, 12)]
    for number, time in enumerate(times):
        state.write(whole.truth(time), builders.random_state(SPACE, seed=number, time=time))
    found, source = synthetic.observe(whole, builders.TIME)
    each = [synthetic.observe(once, time)[0] for time in times]
    assert len(source.files) == 3 and len(set(found.report)) == sum(len(set(table.report)) for table in each)
    expected = observations.concatenate(each)
    for name in ("value", "time", "lat", "station", "flag", "quantity"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


LIKE = """
[grid]
nlat = 32
nlon = 64
[state]
levels_hpa = [500, 850, 925]
[observations]
source = "synthetic"
[synthetic]
like = ["real/first.nc", "real/second.nc"]
"""


@pytest.fixture
def like(tmp_path) -> Settings:
    """An experiment over a truth with two tables of real observations, of which some rows are not for use."""
    toml = tmp_path / "experiment.toml"
    toml.write_text(builders.experiment(work=str(tmp_path)) + LIKE)
    settings = config.load(toml, Settings)
    static.write(settings.experiment.folder.static, SEA)
    for number, name in enumerate(("first", "second")):
        made = builders.TIME - timedelta(days=300 * number + 1)
        table = observed(seed=number + 5, truth=builders.random_state(SPACE, time=made))
        table = table.with_columns(time=table.time + 1800, error=1e-9 * table.error,
                                   type=np.full(len(table), 77 + number),
                                   flag=np.where(np.arange(len(table)) % 3, table.flag, Flag.duplicate))
        observations.write(tmp_path / "real" / f"{name}.nc", table, observations.Source(made, (made, made)))
    for step in range(2):
        time = builders.TIME + step * settings.experiment.step
        state.write(settings.truth(time), builders.random_state(SPACE, seed=step, time=time))
    return settings


def test_a_truth_can_be_observed_where_when_and_how_well_real_tables_say_in_turns(like):
    for step, name in enumerate(("first", "second")):
        time = builders.TIME + step * like.experiment.step
        found, _ = synthetic.observe(like, time)
        real, source = observations.read(like.experiment.in_work(f"real/{name}.nc"))
        real = real.select(real.flag == Flag.passed)
        assert len(found) == len(real) > 1000 and set(found.type) == {77 + step}
        for column in ("lat", "lon", "error", "station", "report", "quantity", "elevation"):
            np.testing.assert_array_equal(getattr(found, column), getattr(real, column))
        np.testing.assert_array_equal(found.time - time.timestamp(), real.time - source.time.timestamp())
        H = Forward.of(found, SPACE, SEA, np.inf)
        truth = state.read(like.truth(time), SPACE)
        np.testing.assert_allclose(found.value, H.apply(truth.data.reshape(len(SPACE.channels), -1)), rtol=1e-6)


def test_a_table_that_is_not_there_is_named(like):
    like.experiment.in_work("real/first.nc").unlink()
    with pytest.raises(UserError, match=r"real/first.nc: \[synthetic\] like names no table there"):
        synthetic.observe(like, builders.TIME)


def test_real_places_are_neither_repeated_nor_encoded():
    with pytest.raises(ValueError, match="leave out every_hours and encode, or like"):
        Synthetic(like=("real/first.nc",), encode=True)
