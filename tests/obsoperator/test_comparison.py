"""One way from states and a table to the first guess, whichever part of members and rows a process has."""

import numpy as np
import pytest

from contracts.variables import Flag
from obsoperator import Forward
from obsoperator.comparison import Equivalents, judge, observe
from obsoperator.departures import BackgroundCheck
from obsoperator.own_time import AtSlots, Between
from tests.obsoperator.case import members, space, static, table

CHECK, SEED, SLOTS = BackgroundCheck(limit=1e3), (1, 1989010106), np.array([-3600.0, 0.0, 3600.0])
WHERE = space()
X = members(WHERE).astype(float)


def made():
    """Observations from 1.5 hours before to 1.5 hours after the analysis time, which is 0, near the model's values."""
    rng, observed = np.random.default_rng(1), table()
    hx = Forward.of(observed, WHERE, static(WHERE.grid), 300.0).apply(X).mean(axis=0)
    return observed.with_columns(value=np.nan_to_num(hx) + rng.normal(size=hx.size),
                                 time=rng.integers(-5400, 5400, hx.size))


def slots(observed, of_members=slice(None)):
    return AtSlots(Between.of(observed.time.astype(float), SLOTS), SLOTS.size,
                   lambda slot: X[of_members] * (1 + 1e-3 * (slot - 1)))


def found(observed, of_members=slice(None), with_slots=True) -> Equivalents:
    H = Forward.of(observed, WHERE, static(WHERE.grid), 300.0)
    return observe(H, X[of_members], slots(observed, of_members) if with_slots else None)


@pytest.mark.parametrize("method", ["fgat", "4d"])
def test_gathered_from_parts_of_members_and_rows_it_is_the_same(method):
    observed = made()
    whole, half = found(observed), len(observed) // 2
    rows = (slice(0, half), slice(half, None))
    pieces = [[found(observed.select(part), of_members) for part in rows] for of_members in ([0], [1, 2])]

    def gather(name):
        return np.concatenate([np.concatenate([getattr(piece, name) for piece in of_rows]) for of_rows in pieces],
                              axis=1)

    flag = np.concatenate([piece.flag for piece in pieces[0]])
    gathered = Equivalents(gather("hx"), gather("ground"), flag, gather("own"))
    one, other = (judge(observed, equivalents, CHECK, SEED, method) for equivalents in (whole, gathered))
    assert one.table.counts() == other.table.counts()
    for name in ("hx", "drift", "rank"):
        assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True)


def test_beyond_the_slots_is_out_of_the_window_and_no_other_reason_is_lost():
    observed = made()
    with_slots, without = (judge(observed, found(observed, with_slots=yes), CHECK, SEED) for yes in (True, False))
    outside, H_exists = np.abs(observed.time) > 3600, found(observed, with_slots=False).flag == Flag.passed
    assert (outside & H_exists).any() and (outside & ~H_exists).any()
    assert (with_slots.table.flag[outside & H_exists] == Flag.out_of_window).all()
    assert np.array_equal(with_slots.table.flag[~H_exists], without.table.flag[~H_exists])
    assert (with_slots.table.flag[~outside] != Flag.out_of_window).all() and without.drift is None
