"""Additive inflation leaves the mean alone and adds the climate's covariance."""

from datetime import timedelta
from itertools import permutations

import numpy as np
import pytest

from contracts import state, static
from contracts.errors import UserError
from contracts.nature import NatureFolder
from letkf_mpi.static import additive
from letkf_mpi.static.climatology import Climatology
from tests import builders
from tests.builders import TIME
from tests.letkf_mpi import case

SPACE = builders.space(4, 8)


def climate(folder, count: int) -> Climatology:
    paths = tuple(folder / f"{number:03d}.nc" for number in range(count))
    for number, path in enumerate(paths):
        state.write(path, builders.random_state(SPACE, seed=number))
    return Climatology(paths)


def test_the_sum_over_members_is_zero(tmp_path):
    states, everyone = climate(tmp_path, 9), np.arange(5)
    pairs = additive.drawn(1, TIME, 5, len(states))
    eta = additive.perturbations(states, SPACE, pairs, everyone, 0.3)
    assert eta.dtype == np.float32 and (np.abs(eta).max(axis=0) > 0).any()
    np.testing.assert_allclose(eta.sum(axis=0), 0, atol=1e-6 * np.abs(states.read(range(9), SPACE)).max())


def test_the_covariance_is_the_climates_in_expectation(tmp_path):
    """Over all possible draws, which are equally likely, exactly."""
    states, k, scale = climate(tmp_path, 5), 3, 0.3
    x = states.read(range(5), SPACE)[:, 3, :4].astype(float)
    sums, orders = np.zeros((4, 4)), list(permutations(range(5), k))
    for order in orders:
        pairs = np.stack([order, np.roll(order, -1)], axis=1)
        eta = additive.perturbations(states, SPACE, pairs, np.arange(k), scale)[:, 3, :4].astype(float)
        sums += eta.T @ eta / (k - 1) / len(orders)
    np.testing.assert_allclose(sums, scale**2 * np.cov(x, rowvar=False), rtol=1e-4, atol=1e-4)


def test_draws_are_different_states_and_follow_from_seed_and_time_alone():
    pairs = additive.drawn(1, TIME, 6, 10)
    assert len(set(pairs[:, 0])) == 6 and np.array_equal(pairs, additive.drawn(1, TIME, 6, 10))
    for other in (additive.drawn(2, TIME, 6, 10), additive.drawn(1, TIME + timedelta(hours=6), 6, 10)):
        assert not np.array_equal(pairs, other)


def test_a_member_gets_the_same_whoever_reads_it(tmp_path):
    states = climate(tmp_path, 6)
    pairs = additive.drawn(1, TIME, 4, 6)
    together = additive.perturbations(states, SPACE, pairs, np.arange(4), 0.3)
    alone = [additive.perturbations(states, SPACE, pairs, np.array([i]), 0.3)[0] for i in range(4)]
    assert np.array_equal(together, np.stack(alone))
    assert additive.perturbations(states, SPACE, pairs, np.empty(0, int), 0.3).shape[0] == 0


def made(folder):
    (folder / "made").mkdir()
    return case.make(folder / "made")


def test_humidity_that_is_kept_gets_no_draws_and_none_becomes_negative(tmp_path):
    experiment = made(tmp_path).settings.experiment
    climate(tmp_path / "made" / "nature", 6)
    members, chosen = np.arange(4), additive.Additive(states="nature/*.nc", scale=0.5)
    background = np.stack([builders.random_state(SPACE, 50 + i).data for i in range(4)])
    background = background.reshape(4, len(SPACE.channels), -1)
    humid = SPACE.index("specific_humidity")  # at 500, 850, 925 hPa
    background[:, humid] *= 0.03
    background[:, humid[0], 0] = -1e-6  # as a model may leave it

    pairs = additive.drawn(experiment.seed, TIME, 4, 6)
    eta = additive.perturbations(Climatology.find(experiment, "nature/*.nc", 4, ""), SPACE, pairs, members, 0.5)
    found, clipped = additive.added(background, chosen, experiment, TIME, members, SPACE, 500.0)
    others = np.setdiff1d(np.arange(len(SPACE.channels)), humid)
    assert np.array_equal(found[:, humid[0]], background[:, humid[0]])
    assert np.array_equal(found[:, others], background[:, others] + eta[:, others])
    assert np.array_equal(found[:, humid[1:]], np.maximum(background[:, humid[1:]] + eta[:, humid[1:]], 0))
    assert found.dtype == np.float32 and clipped == (background[:, humid[1:]] + eta[:, humid[1:]] < 0).sum() > 0


def test_the_fixed_fields_of_a_nature_run_are_none_of_its_states(tmp_path):
    experiment = made(tmp_path).settings.experiment
    climate(tmp_path / "made" / "nature", 5)
    static.write(NatureFolder(tmp_path / "made" / "nature").static, builders.flat_static(SPACE.grid))
    found = Climatology.find(experiment, "nature/*.nc", 5, "[inflation.additive] states")
    assert found.read(range(5), SPACE).shape[0] == len(found) == 5


def test_files_are_found_in_the_order_of_their_names(tmp_path):
    experiment = made(tmp_path).settings.experiment
    climate(tmp_path / "made" / "nature", 5)
    found = Climatology.find(experiment, "nature/0*.nc", 5, "[inflation.additive] states")
    assert [path.stem for path in found.paths] == ["000", "001", "002", "003", "004"]
    assert [path.stem for path in found.spread_out(3).paths] == ["000", "002", "004"]
    with pytest.raises(UserError, match=r"\[inflation.additive\] states: expected at least 6 state files .*, found 5"):
        Climatology.find(experiment, "nature/0*.nc", 6, "[inflation.additive] states")
