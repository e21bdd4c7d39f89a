"""The nearest of each kind, against a loop."""

import numpy as np
import pytest

from contracts.variables import Quantity
from letkf_mpi.local.localization import Localization
from letkf_mpi.local.selection import limits, nearest


def some(p: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.choice([1, 3, 8], p), rng.choice(np.linspace(0.1, 1.0, 12), p)  # tapers with ties


@pytest.mark.parametrize("limit", [1, 4, 17])
def test_it_keeps_the_nearest_of_each_kind_and_of_equals_the_first(limit):
    kind, taper = some()
    expected = np.zeros(kind.size, bool)
    for one in np.unique(kind):
        of_it = sorted(np.flatnonzero(kind == one), key=lambda i: (-taper[i], i))
        expected[of_it[:limit]] = True
    assert np.array_equal(nearest(kind, taper, limit), expected)


def test_a_limit_that_is_not_reached_keeps_all():
    assert nearest(*some(), 60).all()


def test_no_observations():
    assert nearest(np.empty(0, int), np.empty(0), 3).shape == (0,)


def by_table(chosen, p: int = 200, seed: int = 1):
    """Quantity, message type, taper of p observations, and which are kept."""
    rng = np.random.default_rng(seed)
    quantity = rng.choice([Quantity.temperature, Quantity.u_component_of_wind], p)
    message_type = rng.choice([b"ADPUPA", b"AIRCFT", b"SATWND"], p)
    taper, rows, kept = rng.random(p), np.arange(p), np.ones(p, bool)
    for limit in limits(chosen, quantity, message_type):
        kept[kept] = limit.kept(rows[kept], taper[kept])
    return quantity, message_type, taper, kept


def test_a_number_limits_each_quantity():
    quantity, _, taper, kept = by_table(7)
    assert np.array_equal(kept, nearest(quantity, taper, 7)) and kept.sum() == 14


def test_a_message_type_is_limited_in_each_quantity_and_others_are_not():
    quantity, message_type, taper, kept = by_table({"AIRCFT": 3})
    aircraft = message_type == b"AIRCFT"
    assert kept[~aircraft].all() and kept[aircraft].sum() == 6
    for one in np.unique(quantity):
        of_it = np.flatnonzero(aircraft & (quantity == one))
        assert set(of_it[kept[of_it]]) == set(of_it[np.argsort(-taper[of_it])[:3]])


def test_a_quantity_chooses_among_what_message_types_left():
    quantity, message_type, taper, kept = by_table({"AIRCFT": 3, "temperature": 20})
    *_, by_type = by_table({"AIRCFT": 3})
    temperature = quantity == Quantity.temperature
    left = np.flatnonzero(by_type & temperature)
    assert set(np.flatnonzero(kept & temperature)) == set(left[np.argsort(-taper[left])[:20]])
    assert np.array_equal(kept[~temperature], by_type[~temperature])


def test_a_name_that_is_no_quantity_and_no_message_type_is_refused():
    with pytest.raises(ValueError, match="'temprature' is no quantity, and message types such as ADPUPA"):
        Localization(nearest={"temprature": 3})
