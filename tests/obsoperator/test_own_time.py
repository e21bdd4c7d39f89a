"""H(x) at the observations' own times, from states at slots."""

from dataclasses import replace

import numpy as np
import pytest

from contracts.variables import Flag, Quantity
from obsoperator import Forward
from obsoperator.own_time import AtSlots, Between, compared
from tests import builders

SPACE = builders.space()
SLOTS = np.array([-3, -1, 0, 2]) * 3600.0
K, N = 4, 30
START, CHANGE = (np.stack([builders.random_state(SPACE, seed * 10 + i).data for i in range(K)]).reshape(
    K, len(SPACE.channels), -1).astype(np.float64) for seed in (1, 2))
CHANGE *= 1e-6  # a second


def table(time):
    rng = np.random.default_rng(3)
    quantity = rng.choice([Quantity.temperature, Quantity.u_component_of_wind, Quantity.temperature_2m], N)
    return builders.observations(rng.normal(size=N), quantity, rng.uniform(-90, 90, N), rng.uniform(0, 360, N),
                                 pressure=rng.uniform(5e4, 9e4, N), time=time)


def operator(rows):
    return Forward.of(rows, SPACE, builders.flat_static(SPACE.grid), 300.0)


def at(seconds: float) -> np.ndarray:
    """A field that moves linearly in time."""
    return START + seconds * CHANGE


def own(time, states=lambda slot: at(SLOTS[slot])):
    observed = table(time)
    return AtSlots(Between.of(observed.time.astype(float), SLOTS), SLOTS.size, states).observed(operator(observed))


@pytest.mark.parametrize("slot", range(SLOTS.size))
def test_at_a_slot_it_is_h_of_the_state_there(slot):
    time = np.full(N, SLOTS[slot], int)
    assert np.array_equal(own(time), operator(table(time)).apply(at(SLOTS[slot])))


def test_between_slots_it_is_h_of_a_state_that_moves_linearly_in_time():
    time = np.random.default_rng(5).integers(SLOTS[0], SLOTS[-1], N)
    expected = np.stack([operator(table(time)).apply(at(seconds))[:, i] for i, seconds in enumerate(time)], axis=1)
    np.testing.assert_allclose(own(time), expected, rtol=1e-12)
    at_analysis = operator(table(time)).apply(at(0.0))
    assert np.abs(expected - at_analysis).max() > 1e-3


def test_a_background_constant_in_time_gives_the_bits_of_the_analysis_time():
    time = np.random.default_rng(6).integers(SLOTS[0], SLOTS[-1], N)
    constant = own(time, lambda slot: START)
    hx = operator(table(time)).apply(START)
    assert np.array_equal(constant, hx)
    for method in ("fgat", "4d"):
        found, drift = compared(method, hx.T, constant.T)
        assert np.array_equal(found, hx.T) and not drift.any()


def test_fgat_moves_the_mean_and_4d_the_perturbations_too():
    time = np.random.default_rng(7).integers(SLOTS[0], SLOTS[-1], N)
    hx, h = operator(table(time)).apply(at(0.0)).T, own(time).T
    (fgat, drift), (four_d, same_drift) = (compared(method, hx, h) for method in ("fgat", "4d"))
    np.testing.assert_allclose(fgat.mean(axis=1), h.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(fgat - fgat.mean(axis=1)[:, None], hx - hx.mean(axis=1)[:, None], atol=1e-9)
    assert np.array_equal(four_d, h) and np.array_equal(drift, same_drift)
    np.testing.assert_allclose(drift, h.mean(axis=1) - hx.mean(axis=1), rtol=1e-12)


def test_no_state_is_asked_for_twice_and_all_in_order():
    asked = []
    own(np.zeros(N, int), lambda slot: asked.append(slot) or START)
    assert asked == [0, 1, 2, 3]


def test_beyond_the_slots_is_outside():
    time = np.array([-10801, -10800, 0, 7200, 7201])
    assert Between.of(time.astype(float), SLOTS).inside.tolist() == [False, True, True, True, False]


def test_what_has_no_h_at_the_analysis_time_has_none_at_another():
    time = np.full(N, -7000)
    observed = replace(table(time), pressure=np.full(N, 4e4))  # above the top level
    slots = AtSlots(Between.of(time.astype(float), SLOTS), SLOTS.size, lambda slot: at(SLOTS[slot]))
    found = slots.observed(operator(observed))
    without = operator(observed).flag != Flag.passed
    assert without.any() and np.array_equal(np.isnan(found).all(axis=0), without)


def test_at_the_nearest_slot_it_is_h_of_the_state_there_up_to_half_a_slot_beyond_the_ends():
    time = np.array([-14401, -14400, -7201, -7200, -1801, -1800, 3599, 3600, 10800, 10801])
    nearest = np.array([0, 0, 0, 1, 1, 2, 2, 3, 3, 3])
    observed = table(0).select(np.arange(time.size))
    between = Between.nearest(time.astype(float), SLOTS)
    assert between.inside.tolist() == [False, *[True] * 8, False]
    H = operator(observed)
    found = AtSlots(between, SLOTS.size, lambda slot: at(SLOTS[slot])).observed(H)
    expected = np.stack([H.apply(at(SLOTS[slot]))[:, i] for i, slot in enumerate(nearest)], axis=1)
    assert np.array_equal(found, expected)
