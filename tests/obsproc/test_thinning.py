"""Density thinning: no layer overfilled, nothing kept back without need, the same whatever the order of the rows."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import config, times
from contracts.constants import EARTH_RADIUS
from contracts.observations import Source
from contracts.variables import Flag, Quantity
from obsproc import thinning
from obsproc.config import Settings, Thinning
from tests import builders
from tests.builders import TIME, observations

LAYERS = np.array([25_000.0, 50_000.0, 70_000.0, 85_000.0])
SOURCE = Source(TIME, (TIME - timedelta(hours=3), TIME + timedelta(hours=3)))


def thinned(table, layers=LAYERS, **chosen):
    return thinning.density(table, SOURCE, Thinning(method="density", **chosen), layers)


def kept(table, **chosen):
    return (thinned(table, **chosen).flag == Flag.passed).tolist()


@st.composite
def crowds(draw):
    """Up to 40 observations in a part of the globe that may hold a pole or the date line."""
    n = draw(st.integers(1, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    south = draw(st.sampled_from([-90.0, -5.0, 70.0]))
    return observations(
        random.normal(size=n), quantity=random.choice([1, 3, 7], n), lat=south + random.uniform(0, 20, n),
        lon=random.uniform(-20, 20, n) % 360, pressure=random.uniform(20_000, 100_000, n),
        quality=random.integers(0, 4, n), error=random.uniform(0.5, 2, n).round(1),
        time=int(TIME.timestamp()) + random.integers(-3, 4, n) * 3600,
        station=random.integers(0, 9, n).astype("S8"),
        flag=random.choice([Flag.passed, Flag.passed, Flag.bad_mark, Flag.withheld], n))


def touching(pressure, reach, layers=LAYERS):
    """(nobs, nlayer) by the definition."""
    gap = np.abs(np.log(pressure)[:, None] - np.log(layers))
    return (gap <= reach) | (gap == gap.min(axis=1, keepdims=True))


def distances(table):
    """(nobs, nobs) km by the haversine formula."""
    lat, lon = np.deg2rad(table.lat), np.deg2rad(table.lon)
    half = (np.sin((lat[:, None] - lat) / 2) ** 2
            + np.cos(lat[:, None]) * np.cos(lat) * np.sin((lon[:, None] - lon) / 2) ** 2)
    return 2 * EARTH_RADIUS / 1000 * np.arcsin(np.sqrt(half))


def occupancy(table, chosen, slack):
    """(nobs, nlayer) kept observations of the quantity in each layer within the distance, by brute force."""
    inside = touching(table.pressure, chosen["vertical_ln_p"])
    inside = np.where((table.quantity == Quantity.surface_pressure)[:, None], np.arange(len(LAYERS)) == 0, inside)
    near = (distances(table) <= chosen["horizontal_km"] * slack) & (table.quantity[:, None] == table.quantity)
    present = table.flag == Flag.passed
    return inside, near, (near[:, :, None] & (inside & present[:, None])[None]).sum(axis=1)


SCALES = st.fixed_dictionaries({"horizontal_km": st.sampled_from([100.0, 500.0, 2000.0]), "limit": st.integers(1, 3),
                                "vertical_ln_p": st.sampled_from([0.1, 0.3])})


@given(crowds(), SCALES)
def test_no_layer_is_overfilled(table, chosen):
    left = thinned(table, **chosen)
    inside, _, number = occupancy(left, chosen, slack=1 - 1e-9)
    stays = left.flag == Flag.passed
    assert (number <= chosen["limit"])[stays[:, None] & inside].all()


@given(crowds(), SCALES)
def test_nothing_is_thinned_that_still_had_room(table, chosen):
    """Each thinned row, put back, overfills a layer that it touches: around itself or around a kept neighbour."""
    left = thinned(table, **chosen)
    inside, near, number = occupancy(left, chosen, slack=1 + 1e-9)
    stays = left.flag == Flag.passed
    for i in np.flatnonzero(left.flag == Flag.thinned):
        full_here = (number[i] >= chosen["limit"]) & inside[i]
        full_there = (number[near[i] & stays] >= chosen["limit"]) & inside[near[i] & stays] & inside[i]
        assert full_here.any() or full_there.any()


@given(crowds(), SCALES)
def test_thinned_and_kept_are_the_candidates_and_others_keep_their_flags(table, chosen):
    left = thinned(table, **chosen)
    candidates = table.flag == Flag.passed
    assert set(left.flag[candidates]) <= {Flag.passed, Flag.thinned}
    np.testing.assert_array_equal(left.flag[~candidates], table.flag[~candidates])
    np.testing.assert_array_equal(left.value, table.value)


@given(crowds(), SCALES, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(table, chosen, random):
    order = list(range(len(table)))
    random.shuffle(order)
    np.testing.assert_array_equal(thinned(table.select(np.array(order)), **chosen).flag,
                                  thinned(table, **chosen).flag[order])


@given(crowds(), st.sampled_from([100.0, 500.0]))
def test_thinning_again_changes_nothing(table, kilometres):
    once = thinned(table, horizontal_km=kilometres)
    np.testing.assert_array_equal(thinned(once, horizontal_km=kilometres).flag, once.flag)


def test_the_better_mark_stays_then_the_nearer_to_a_layer_then_the_nearer_in_time():
    hours = int(TIME.timestamp()) + 3600 * np.array([0, 0, -1, 2])
    assert kept(observations(np.zeros(4), quality=[3, 2, 2, 2], pressure=[50_000, 51_000, 50_000, 50_000],
                             time=hours)) == [False, False, True, False]
    assert kept(observations(np.zeros(2), quality=[3, 2], pressure=[50_000, 54_000])) == [False, True]


def test_the_smaller_error_stays():
    assert kept(observations(np.zeros(3), error=[2.0, 1.0, 1.5])) == [False, True, False]


@pytest.mark.parametrize(("kilometres", "stays"), [(8800.0, True), (9000.0, False)])
def test_distances_are_great_circles(kilometres, stays):
    """80 degrees of latitude are 8896 km on the ground, 8190 km through the Earth."""
    assert kept(observations(np.zeros(2), lat=[-40.0, 40.0], quality=[0, 1]), horizontal_km=kilometres) == [True, stays]


def test_a_skipped_candidate_does_not_end_the_search():
    """The second is too near to the first; the third, worth least, still finds room."""
    assert kept(observations(np.zeros(3), lat=[0, 1, 10], quality=[0, 1, 3])) == [True, False, True]


@pytest.mark.parametrize(("pressure", "both"), [(77_000.0, False), (95_000.0, True)])
def test_one_between_two_layers_touches_both(pressure, both):
    """770 hPa is within 0.1 of 850 and 700 hPa, where the first two stand; 950 belongs to 850 only."""
    table = observations(np.zeros(3), pressure=[85_000, 70_000, pressure], quality=[0, 0, 1])
    assert kept(table, limit=2) == [True, True, True]
    assert kept(table, limit=1) == [True, True, False]
    assert kept(table.select(np.array([1, 2])), limit=1) == [True, both]


def test_a_full_neighbour_refuses_one_that_itself_has_room():
    """At limit 2 the middle one already shares its layer; the fourth, near the middle one only, may not come."""
    table = observations(np.zeros(3), lat=[0.0, 4.0, 8.0], quality=[0, 0, 1])
    assert kept(table, limit=2, horizontal_km=500) == [True, True, False]
    assert kept(table.select(np.array([0, 2])), limit=2, horizontal_km=500) == [True, True]


def test_layers_and_quantities_are_thinned_apart():
    table = observations(np.zeros(3), pressure=[85_000, 50_000, 50_000], quantity=[3, 3, 5])
    assert kept(table) == [True] * 3


def test_both_components_of_a_wind_share_their_fate():
    random = np.random.default_rng(1)
    n = 200
    place = dict(lat=random.uniform(-90, 90, n), lon=random.uniform(0, 360, n), quality=random.integers(0, 4, n),
                 pressure=random.uniform(2e4, 9e4, n), station=np.arange(n).astype("S8"))
    both = observations(random.normal(size=2 * n), quantity=np.repeat([1, 2], n),
                        **{name: np.tile(values, 2) for name, values in place.items()})
    flags = thinned(both, horizontal_km=1500).flag
    np.testing.assert_array_equal(flags[:n], flags[n:])
    assert 0 < (flags == Flag.thinned).sum() < 2 * n


def test_only_the_message_types_named_are_thinned():
    table = observations(np.zeros(3), message_type=np.array([b"ADPUPA", b"SATWND", b"SATWND"]), quality=[0, 1, 2])
    assert kept(table, message_types=("SATWND",)) == [True, True, False]


def test_slots_can_be_thinned_apart():
    table = observations(np.zeros(2), time=int(TIME.timestamp()) + np.array([0, 3600]))
    assert kept(table) == [True, False]
    assert kept(table, each_slot=True) == [True, True]


def test_an_empty_table_stays_empty():
    assert len(thinned(observations(np.zeros(0)))) == 0


def experiment(text):
    return config.decode(builders.experiment() + text, Settings, "made.toml")


def test_nothing_is_thinned_unless_asked_for():
    table = observations(np.zeros(5))
    assert thinning.apply(table, SOURCE, experiment("")) is table
    flags = thinning.apply(table, SOURCE, experiment('[thinning]\nmethod = "density"')).flag
    assert sorted(flags) == [Flag.passed] + [Flag.thinned] * 4


def test_layers_are_those_of_the_state_and_the_mandatory_ones():
    state = experiment("[state]\nlevels_hpa = [600, 850]").state
    assert Thinning().layers(state) == tuple(100.0 * p for p in (
        10, 20, 30, 50, 70, 100, 150, 200, 250, 300, 400, 500, 600, 700, 850, 925, 1000))
    assert Thinning(layers_hpa=(500, 850, 500)).layers(state) == (50_000.0, 85_000.0)


def test_slots_are_centred_on_the_cycle():
    seconds = times.to_seconds(TIME) + np.array([-10_800, -5401, -5400, -1801, -1800, 0, 1799, 1800, 10_800])
    assert SOURCE.slot(seconds).tolist() == [-3, -2, -1, -1, 0, 0, 0, 1, 3]
