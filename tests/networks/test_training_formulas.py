"""What a training computes, against its definition: moments, climatology, scores, loss, schedule, samples, noise."""

import numpy as np
import pytest
import torch

from networks import normalization
from networks.normalization import Accumulator
from networks.training import samples, statistics, validation
from networks.training.config import Phase
from networks.training.loss import Scores, weighted_square
from networks.training.schedule import learning_rate
from tests import builders


def test_accumulated_moments_are_those_of_the_whole():
    rng, weights = np.random.default_rng(0), builders.space().grid.area_weights
    fields = rng.standard_normal((20, 3, 8, 16)) * np.array([1, 1e-3, 500])[:, None, None] + np.array(
        [0, 5e-3, 3e5])[:, None, None]
    sums = Accumulator(weights)
    for piece in np.split(fields, [1, 7]):
        sums.add(piece.astype(np.float32))
    mean, std = sums.result()
    w = weights / weights.sum() / len(fields)
    expected = (fields.astype(np.float32).astype(float) * w).sum(axis=(2, 3)).sum(axis=0)
    np.testing.assert_allclose(mean, expected, rtol=1e-9, atol=1e-12)
    square = ((fields.astype(np.float32) - expected[:, None, None]) ** 2 * w).sum(axis=(0, 2, 3))
    np.testing.assert_allclose(std, np.sqrt(square), rtol=1e-6)


def test_a_constant_without_variation_keeps_its_scale():
    found = normalization.of_constants({"flat": np.full((8, 16), 2.5)}, builders.space().grid.area_weights)["flat"]
    assert (found.mean, found.std) == (2.5, 1.0)


def test_the_climatology_finds_the_seasons():
    rng = np.random.default_rng(1)
    coefficients = rng.standard_normal((5, 2, 4, 8)).astype(np.float32)
    seconds = np.arange(0, 2 * 366 * 86400, 86400)
    made_up = statistics.Climatology(coefficients).at(seconds)

    class Seasons:
        """A series of nothing but seasons."""

        space = builders.space(4, 8)

        def __init__(self):
            self.seconds = seconds

        def fields(self, index):
            return made_up[index]

    Seasons.space = type("Space", (), {"grid": builders.space(4, 8).grid, "shape": (2, 4, 8)})
    pairs = np.stack([np.arange(len(seconds) - 1), np.arange(1, len(seconds))], axis=1)
    found = statistics._compute(Seasons(), pairs)  # type: ignore[arg-type]
    np.testing.assert_allclose(found["climatology"], coefficients, atol=2e-5)


def test_rmse_and_acc_are_those_of_their_definition():
    rng, weights = np.random.default_rng(2), builders.space().grid.area_weights
    forecast, truth, mean = (rng.standard_normal((5, 3, 8, 16)) for _ in range(3))
    sums = Scores(weights)
    for piece in (slice(0, 2), slice(2, 5)):
        sums.add(forecast[piece], truth[piece], mean[piece])
    for channel in range(3):
        square, total, correlations = 0.0, 0.0, []
        for time in range(5):
            cross = ahead = real = 0.0
            for i in range(8):
                for j in range(16):
                    f, o = (x[time, channel, i, j] for x in (forecast, truth))
                    c, w = mean[time, channel, i, j], weights[i, j]
                    square, total = square + w * (f - o) ** 2, total + w
                    cross, ahead, real = (cross + w * (f - c) * (o - c), ahead + w * (f - c) ** 2,
                                          real + w * (o - c) ** 2)
            correlations.append(cross / np.sqrt(ahead * real))
        assert sums.rmse[channel] == pytest.approx(np.sqrt(square / total), rel=1e-12)
        assert sums.acc[channel] == pytest.approx(np.mean(correlations), rel=1e-12)


def test_perfect_and_climatological_forecasts_have_their_scores():
    truth = np.random.default_rng(3).standard_normal((4, 2, 8, 16))
    perfect, mean = (Scores(builders.space().grid.area_weights) for _ in range(2))
    perfect.add(truth, truth, np.zeros_like(truth))
    mean.add(np.zeros_like(truth), truth, np.zeros_like(truth))
    np.testing.assert_allclose(perfect.acc, 1.0)
    assert (perfect.rmse == 0).all()
    assert (mean.acc == 0).all()


def test_the_loss_is_one_for_persistence_of_a_tendency_of_one_standard_deviation():
    weights = torch.tensor(builders.space().grid.area_weights)
    scale = torch.tensor([2.0, 5.0])[:, None, None]
    truth = torch.zeros(3, 2, 8, 16, dtype=torch.float64)
    assert float(weighted_square(truth + scale, truth, scale, weights)) == pytest.approx(1.0)


def test_the_learning_rate_warms_up_and_falls_along_a_cosine():
    phase = Phase(epochs=1, learning_rate=1.0, warmup_steps=4, final_fraction=0.1)
    rates = [learning_rate(phase, step, 15) for step in range(15)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4] == 1.0
    assert rates[9] == pytest.approx(0.55)
    assert rates[14] == pytest.approx(0.1)
    assert all(a >= b for a, b in zip(rates[4:], rates[5:], strict=False))


def test_an_epoch_is_a_permutation_of_the_samples_drawn_from_seed_phase_and_epoch():
    windows = np.arange(40).reshape(20, 2)
    pieces = samples.batches(windows, 4, seed=1, phase=0, epoch=0)
    assert [len(piece) for piece in pieces] == [4] * 5
    np.testing.assert_array_equal(np.sort(np.concatenate(pieces), axis=0), windows)
    again = samples.batches(windows, 4, seed=1, phase=0, epoch=0)
    np.testing.assert_array_equal(np.concatenate(pieces), np.concatenate(again))
    for other in ((2, 0, 0), (1, 1, 0), (1, 0, 1)):
        assert not np.array_equal(np.concatenate(samples.batches(windows, 4, *other)), np.concatenate(pieces))


def test_an_epoch_of_few_samples_draws_others_each_time():
    windows = np.arange(40)[:, None]
    first, second = (np.concatenate(samples.batches(windows, 4, 1, 0, epoch, limit=9)) for epoch in (0, 1))
    assert len(first) == len(second) == 8
    assert not np.array_equal(np.sort(first, axis=0), np.sort(second, axis=0))
    assert samples.batch_count(40, 4, 9) == 2
    assert samples.batch_count(7, 4, None) == 1


def test_validation_forecasts_are_spread_over_the_year():
    windows = np.arange(100)[:, None]
    np.testing.assert_array_equal(validation.spread(windows, 4)[:, 0], [0, 33, 66, 99])
    assert validation.spread(windows, 200) is windows


def test_a_disturbance_has_the_strength_and_the_patterns_it_says():
    """Variance one over many fields, half of it smooth, each field with a strength of its own; the same each time."""
    noise = samples.disturbance((40, 30, 32, 64), 1, 0, 2, 3)
    assert noise.std() == pytest.approx(1.0, abs=0.05)
    strength = noise.std(axis=(-2, -1)).ravel()
    assert strength.mean() == pytest.approx(np.sqrt(2 / np.pi), abs=0.05)  # of |N(0, 1)|
    unit = noise / noise.std(axis=(-2, -1), keepdims=True)
    neighbours = (unit * np.roll(unit, 1, axis=-1)).mean()
    assert neighbours == pytest.approx(0.5 * np.exp(-1 / (4 * samples.SMOOTH**2)), abs=0.03)
    np.testing.assert_array_equal(noise, samples.disturbance((40, 30, 32, 64), 1, 0, 2, 3))
    assert (noise != samples.disturbance((40, 30, 32, 64), 1, 0, 2, 4)).all()
