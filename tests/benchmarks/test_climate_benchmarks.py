"""What the benchmarks of the climate count: means, waves, dates."""

from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from contracts.state import StateSpace
from model_server.models.base import Batch
from tests import builders
from tests.benchmarks import free_climate, guided_analyses


def test_the_power_of_all_zonal_waves_is_the_variance():
    """Parseval, by area; a pure wave stands where it belongs."""
    space = builders.space()
    rng = np.random.default_rng(1)
    x = rng.standard_normal(space.shape)
    x[0] = 3.0 + 2.0 * np.cos(3 * np.deg2rad(space.grid.lon))
    kept = free_climate.Kept.of(space, [(builders.TIME, x)])
    weights = space.grid.area_weights / space.grid.size
    np.testing.assert_allclose(kept.means[0], (x * weights).sum(axis=(1, 2)), rtol=1e-12)
    twice = np.where(2 * np.arange(kept.power.shape[-1]) % space.grid.lon.size == 0, 1, 2)
    np.testing.assert_allclose((kept.power[0] * twice).sum(axis=-1), (x**2 * weights).sum(axis=(1, 2)), rtol=1e-12)
    assert kept.power[0, 0, 3] == pytest.approx(1.0) and kept.power[0, 0, 0] == pytest.approx(9.0)
    assert kept.power[0, 0, [1, 2, 4]].max() < 1e-25


@dataclass(frozen=True)
class Remembering:
    """A model that adds to its state what it has drawn and what is left of what it drew before."""

    space: StateSpace
    time_step: timedelta = timedelta(hours=6)
    history: int = 1

    def step(self, batch: Batch) -> Batch:
        (kept,), (random,) = batch.restart, batch.generators()
        noise = random.standard_normal(self.space.shape).astype(np.float32) + (0.9 * kept["noise"] if kept else 0)
        return Batch(batch.time + self.time_step, batch.data + noise, ({"noise": noise},))


def test_a_free_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    space, runs = builders.space(), []
    monkeypatch.setattr(free_climate, "model_of", lambda settings: Remembering(space))
    for parts in ((4,), (2, 4)):
        folder = tmp_path / f"{len(parts)}"
        folder.mkdir()
        experiment = SimpleNamespace(start=builders.TIME, name="made", seed=1, folder=SimpleNamespace(folder=folder))
        settings = SimpleNamespace(experiment=experiment, space=space)
        first = np.ones(space.shape, np.float32)
        free_climate.write(free_climate.kept_at(settings), free_climate.Kept.of(space, [(builders.TIME, first)]),
                           first[None])
        for days in parts:
            free_climate.run(settings, days / 365.25)
        runs.append(free_climate.read(settings))
    assert len(runs[0].seconds) == 5
    for one, other in zip(runs[0].parts, runs[1].parts, strict=True):
        np.testing.assert_array_equal(one, other)


def test_dates_are_each_once_and_any_beginning_of_them_is_spread_over_the_year():
    found = guided_analyses.dates(builders.TIME, builders.TIME + timedelta(days=360), 30)
    assert sorted(found) == [builders.TIME + timedelta(days=12 * number) for number in range(30)]
    begun = sorted(found[:10])
    assert max(b - a for a, b in zip(begun, begun[1:], strict=False)) <= timedelta(days=72)
