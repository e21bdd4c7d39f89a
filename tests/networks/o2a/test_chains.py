"""Chains of analyses: each is the Kalman analysis about a forecast from the one before."""

from datetime import timedelta

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array, random_array

from networks import train
from networks.climate.gaussian import identity
from networks.emulator import Emulator
from networks.o2a import task
from networks.o2a.analyses import chained
from networks.o2a.chains import Chains
from networks.o2a.optimal import seen_covariance
from networks.training import config, loop
from tests.networks import climates
from tests.networks.o2a import made

WHERE = climates.space()
CLIMATE = climates.climate(WHERE)
SHAPE = WHERE.shape
A = csr_array(random_array((40, int(np.prod(SHAPE))), density=0.05, rng=np.random.default_rng(1)))
CHAINS = Chains(CLIMATE, A, seen_covariance(CLIMATE.correlation, A), draws=4)


def test_the_first_is_about_the_climate_and_the_next_about_a_forecast_as_large_as_it_misses():
    random = np.random.default_rng(2)
    truth = CLIMATE.correlation.apply(np.sqrt, random.standard_normal((2, 300, *SHAPE)))
    first, second = CHAINS.analysed(truth, np.zeros((2, 300), int), lambda z, seconds: 0.5 * z, random)
    C, H = climates.dense(CLIMATE.correlation, SHAPE, identity), A.toarray()
    K = C @ H.T @ np.linalg.inv(H @ C @ H.T + np.eye(len(H)))
    d = first.left + first.analysis.reshape(300, -1) @ H.T  # as it was drawn
    np.testing.assert_allclose(first.analysis.reshape(300, -1), d @ K.T, atol=1e-8)

    background = 0.5 * first.analysis.reshape(300, -1)
    left = second.left + (second.analysis.reshape(300, -1) - background) @ H.T
    alpha_squared = (np.square(left).sum(axis=1).mean() - len(H)) / np.trace(H @ C @ H.T)
    assert CHAINS.alpha_squared(left) == pytest.approx(alpha_squared) and 0.3 < alpha_squared < 2
    B = alpha_squared * C
    expected = background + left @ np.linalg.inv(H @ B @ H.T + np.eye(len(H))) @ H @ B
    np.testing.assert_allclose(second.analysis.reshape(300, -1), expected, atol=1e-8)


def test_alpha_is_right_where_the_background_errs_as_the_climate_times_it():
    random = np.random.default_rng(3)
    off = 0.4 * CLIMATE.correlation.apply(np.sqrt, random.standard_normal((4000, *SHAPE))).reshape(4000, -1)
    d = off @ A.toarray().T + random.standard_normal((4000, 40))
    assert CHAINS.alpha_squared(d) == pytest.approx(0.16, rel=0.1)


def test_chains_hold_each_state_but_the_first_of_a_period_once():
    pairs = np.array([(n, n + 1) for n in (*range(10), *range(20, 25))])
    found = chained(pairs, 4)
    kept = np.concatenate([chain[:, 1:].ravel() for chain in found])
    assert sorted(kept) == [*range(1, 11), *range(21, 26)]
    for chain in found:
        assert (np.diff(chain, axis=1) == 1).all() and chain.shape[1] <= 5


class Standing(Emulator):
    """States that stand still for six hours."""

    step = timedelta(hours=6)

    def next(self, state, time, draw, parameters):
        return state[-1]


def test_a_network_learns_from_analyses_about_forecasts(tmp_path, monkeypatch):
    monkeypatch.setenv("WORK", str(tmp_path))
    made.write_work(tmp_path)
    path = made.experiment_file(tmp_path, "cycled")
    path.write_text(path.read_text().replace("group = 25", "group = 5\ncycles = 3"))
    monkeypatch.setattr(task, "emulator_of", lambda *_: (Standing(), "made"))
    settings = config.load(path)
    train.write_shards(settings)
    trainer = loop.prepared(settings)
    of, seconds = trainer.task, trainer.data.series.seconds
    assert sorted(of.trained.place) == seconds[1:64].tolist() and of.span(settings.training.phases[0]) == 1
    assert of.card.network.cycles == 3 and len(of.unseen.files[0]["seconds"]) == 3 * len(of.numbers)
    numbers = np.array([[3, 4], [20, 21]]).T
    batch = loop.Batch(trainer.data.series.fields(numbers.ravel()).reshape(2, 2, *SPACE_SHAPE), seconds[numbers])
    given = of.given(of.trained, seconds[[4, 21]])
    expected = of.off(batch.fields[1], given, torch.zeros_like(given.analysis))
    assert float(of.loss(batch, loop.Place()).detach()) == pytest.approx(float(expected))


SPACE_SHAPE = made.SPACE.shape
