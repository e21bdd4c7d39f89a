"""Laws of the SPEEDY model in the cycle, with the real model at T21, compiled once for all tests."""

from datetime import UTC, datetime, timedelta

import jax
import numpy as np
import pytest

from contracts import ensemble, times
from contracts.constants import GAS_CONSTANT_DRY, GRAVITY
from model_server import models
from model_server.models.base import Batch, NatureModel, advance
from model_server.models.speedy import _resized, native_of
from model_server.models.speedy.exchange import Exchange
from model_server.models.speedy.parameters import physics_of

START = datetime(1989, 1, 1, tzinfo=UTC)
DAYS_TO_WARM = 5


@pytest.fixture(scope="module")
def weather(speedy) -> Batch:
    """One member with some weather in it, on 1989-01-01."""
    batch = speedy.cold_start(START - timedelta(days=DAYS_TO_WARM))
    native = native_of(batch.restart[0])
    for step in range(4 * DAYS_TO_WARM):
        native = speedy.program.advance(native, times.to_seconds(batch.time) + step * 21_600)
    return speedy.adopt([{name: np.asarray(array) for name, array in native.items()}], START)


def changed(batch: Batch, space, **increments) -> Batch:
    """`batch` with a constant added to all channels of each named variable."""
    data = batch.data.copy()
    for variable, value in increments.items():
        data[:, space.index(variable)] += np.float32(value)
    return Batch(batch.time, data, batch.restart)


def analysed(speedy, batch: Batch) -> np.ndarray:
    """The fields of the member's own state right after it took up an analysis, (channel, lat, lon)."""
    native = speedy.take_up(batch.data[0], batch.restart[0], batch.time)
    return Exchange(speedy.space, speedy.program).fields(speedy.program.diagnose(native, times.to_seconds(batch.time)))


def test_is_a_nature_model_in_every_respect(speedy):
    assert isinstance(speedy, NatureModel)


def test_without_an_analysis_the_member_runs_on_as_if_nobody_had_looked(speedy, weather):
    """Two steps through the pressure-level files give the bits of twelve hours of the model by itself."""
    cycled = speedy.step(speedy.step(weather))
    native = native_of(weather.restart[0])
    for step in (0, 1):
        native = speedy.program.advance(native, times.to_seconds(START) + step * 21_600)
    for name, array in native.items():
        np.testing.assert_array_equal(cycled.restart[0][name], np.asarray(array), err_msg=name)


def test_adding_nothing_changes_no_bit(speedy, weather):
    """Not even when zero increments go the whole way to the spectra."""
    native, data = native_of(weather.restart[0]), weather.data[0]
    pressure = speedy.program.diagnose(native, times.to_seconds(START))["surface_pressure"]
    same = speedy.program.add(native, Exchange(speedy.space, speedy.program).increments(data, data, pressure))
    for name, array in native.items():
        np.testing.assert_array_equal(np.asarray(same[name]), array, err_msg=name)


def test_a_member_does_not_depend_on_its_neighbours(speedy, weather):
    other = changed(weather, speedy.space, temperature=1.0)
    two = Batch(START, np.concatenate([weather.data, other.data]), weather.restart * 2)
    together = speedy.step(two)
    for i, alone in enumerate((speedy.step(weather), speedy.step(other))):
        np.testing.assert_array_equal(together.data[i], alone.data[0])
    assert not np.array_equal(together.data[0], together.data[1])


def test_a_uniform_warming_arrives_as_it_is_and_lifts_the_air_above(speedy, weather):
    before, after = weather.data[0], analysed(speedy, changed(weather, speedy.space, temperature=1.0))
    warmer = (after - before)[speedy.space.index("temperature")]
    np.testing.assert_allclose(warmer[:3], 1.0, atol=1e-3)  # 50, 250, 500 hPa
    # Below a mountain the standard lapse rate hands the warming down times (p/p_N)^0.19: 1.1 below Tibet at 925 hPa.
    assert warmer.min() > 0.999 and warmer.max() < 1.11 and np.median(warmer[-1]) == pytest.approx(1.0, abs=1e-3)
    z = speedy.space.index("geopotential")
    thicker = (after - before)[z[1]] - (after - before)[z[2]]  # 250 over 500 hPa
    np.testing.assert_allclose(thicker, GAS_CONSTANT_DRY * np.log(2.0), rtol=0.02)


def test_a_solid_rotation_arrives_as_it_is(speedy, weather):
    data = weather.data.copy()
    westerly = 5.0 * np.cos(np.deg2rad(speedy.space.grid.lat))[:, None]
    data[:, speedy.space.index("u_component_of_wind")] += westerly.astype(np.float32)
    after = analysed(speedy, Batch(START, data, weather.restart))
    added = (after - weather.data[0])[speedy.space.index("u_component_of_wind")]
    np.testing.assert_allclose(added, np.broadcast_to(westerly, added.shape), atol=0.05)


def test_surface_pressure_higher_by_a_factor_arrives_over_mountains_too(speedy, weather):
    data = weather.data.copy()
    ps = speedy.space.index("surface_pressure")
    data[:, ps] *= np.float32(1.002)
    after = analysed(speedy, Batch(START, data, weather.restart))
    np.testing.assert_allclose(after[ps] / weather.data[0, ps], 1.002, atol=2e-6)


def test_drying_beyond_nothing_ends_at_nothing(speedy, weather):
    q = speedy.space.index("specific_humidity")
    after = analysed(speedy, changed(weather, speedy.space, specific_humidity=-1.0))
    assert weather.data[0, q].mean() > 1e-3
    assert after[q].min() >= 0 and after[q].mean() < 0.01 * weather.data[0, q].mean()


def test_adopting_its_own_restart_changes_no_bit(speedy, weather):
    again = speedy.adopt(list(weather.restart), START)
    np.testing.assert_array_equal(again.data, weather.data)
    for name, array in weather.restart[0].items():
        np.testing.assert_array_equal(again.restart[0][name], array, err_msg=name)


def test_spectra_of_a_higher_resolution_are_cut(speedy, weather):
    finer = {name: _resized(array, (63, 33)) for name, array in native_of(weather.restart[0]).items()}
    np.testing.assert_array_equal(speedy.adopt([finer], START).data, weather.data)


def test_a_state_from_lower_ground_is_moved_up_hydrostatically(speedy, weather):
    """Ground 100 m higher than where the state came from: ps falls by the factor exp(-g Δz/(R T))."""
    height = 100.0
    lower = dict(weather.restart[0])
    lower["orography"] = lower["orography"].copy()
    lower["orography"][0, 0, 0] -= height * np.sqrt(4 * np.pi)  # the constant harmonic is Y00 = 1/√(4π)
    raised = speedy.adopt([lower], START)
    ps = speedy.space.index("surface_pressure")[0]
    ratio = raised.data[0, ps] / weather.data[0, ps]
    lowest = weather.data[0, speedy.space.index("2m_temperature")[0]]
    np.testing.assert_allclose(np.log(ratio), -GRAVITY * height / (GAS_CONSTANT_DRY * lowest), rtol=0.1)


def test_fields_that_the_programs_exchange_stay_sane(speedy, weather):
    later = speedy.step(weather)
    assert later.data.dtype == np.float32 and later.time == START + timedelta(hours=6)
    ensemble.refuse_insane(later.data[0], speedy.space, "member 1")


def test_static_fields_are_the_earths(speedy):
    static = speedy.static
    lat, lon = speedy.space.grid.lat, speedy.space.grid.lon
    tibet = np.argmin(abs(lat - 33)), np.argmin(abs(lon - 88))
    pacific = np.argmin(abs(lat)), np.argmin(abs(lon - 200))
    assert static.orography[tibet] > 3500 and static.land_sea_mask[tibet] == 1
    assert abs(static.orography[pacific]) < 150 and static.land_sea_mask[pacific] == 0


def test_the_climate_does_not_drift_into_the_known_defects(speedy):
    """After 100 days from rest: mean pressure near 985.5 hPa (it was 1002), stratosphere above 190 K (it was 112)."""
    start = START - timedelta(days=100)
    native = dict(speedy.program.start)
    for step in range(400):
        native = speedy.program.advance(native, times.to_seconds(start) + step * 21_600)
    fields = speedy.adopt([{name: np.asarray(array) for name, array in native.items()}], START).data[0]
    weights = speedy.space.grid.area_weights

    def mean(variable, level):
        return (fields[speedy.space.index(variable)[level]] * weights).mean()

    assert mean("surface_pressure", 0) == pytest.approx(98_590, abs=200)
    assert fields[speedy.space.index("temperature")[0]].min() > 190
    assert abs(fields[speedy.space.index("u_component_of_wind")]).max() < 90
    assert mean("geopotential", 2) / GRAVITY == pytest.approx(5_640, abs=60)
    assert mean("temperature", 5) == pytest.approx(280, abs=4)
    ensemble.refuse_insane(fields, speedy.space, "the climate")


def test_three_steps_of_two_hours_are_one_of_six_but_for_what_begins_anew_with_each(speedy, weather):
    short = models.create("speedy", {"truncation": 21, "step_hours": 2}, speedy.space)
    assert short.time_step == timedelta(hours=2)
    one, three = speedy.step(weather), weather
    for _ in range(3):
        three = short.step(three)
    assert three.time == one.time
    for name in ("temperature", "u_component_of_wind", "specific_humidity", "surface_pressure"):
        here = speedy.space.index(name)
        change, difference = (np.sqrt(((one.data - other.data)[:, here] ** 2).mean()) for other in (weather, three))
        assert difference < 0.15 * change


def with_parameters(batch: Batch, *members: dict[str, float]) -> Batch:
    """A member of `batch` for each set of parameters, the others as usual."""
    of = models.parameters("speedy")
    values = [[member.get(one.name, one.usual) for one in of] for member in members]
    times_over = len(members)
    return Batch(batch.time, np.concatenate([batch.data] * times_over), batch.restart * times_over,
                 parameters=np.array(values))


def test_usual_parameters_are_the_model_as_it_is_and_each_other_one_changes_its_own_member_alone(speedy, weather):
    of = models.parameters("speedy")
    others = [{one.name: end} for one in of for end in (one.low, one.high)]
    later = advance(speedy, with_parameters(weather, {}, *others))
    expected = advance(speedy, weather)
    change = np.sqrt(((expected.data[0] - weather.data[0]) ** 2).mean(axis=(1, 2)))

    def difference(member: int) -> float:
        """Largest rms difference of a channel, in units of the step's change."""
        return (np.sqrt(((later.data[member] - expected.data[0]) ** 2).mean(axis=(1, 2))) / change).max()

    assert difference(0) < 1e-4  # rounding: the compiler sees other constants
    assert min(difference(member) for member in range(1, len(others) + 1)) > 0.01
    alone = advance(speedy, with_parameters(weather, others[0]))
    np.testing.assert_array_equal(alone.data[0], later.data[1])
    np.testing.assert_array_equal(later.parameters[1:2], alone.parameters)
    for restart in later.restart:  # on the same ground to the bit, or a run could not be taken up again
        np.testing.assert_array_equal(restart["orography"], weather.restart[0]["orography"])


def test_what_is_called_usual_is_what_the_model_has():
    from jcm.physics.speedy.params import Parameters

    of, shipped = models.parameters("speedy"), Parameters.default()
    changed = physics_of([np.float32(one.usual) for one in of])
    for one, other in zip(jax.tree.leaves(shipped), jax.tree.leaves(changed), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
