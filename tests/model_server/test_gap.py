"""Forecasts brought back among the climate's states: what is kept, what comes back, and what may never matter."""

from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import pytest

from contracts import humidity
from contracts.errors import UserError
from contracts.state import StateSpace
from model_server import models
from model_server.models import gap
from model_server.models.base import Batch, advance
from model_server.models.gap import Gap, Options
from networks.climate import file
from networks.denoiser import flow
from networks.denoiser.denoiser import Denoiser
from tests import builders
from tests.networks import climates

CLIMATE = climates.climate(climates.space())
SHAPE = CLIMATE.space.shape


@dataclass(frozen=True)
class Damped:
    """A model that forgets half of every anomaly from the climate's mean at the batch's time."""

    keep: float = 0.5
    space: StateSpace = CLIMATE.space
    name: str = "damped"
    time_step: timedelta = timedelta(hours=6)
    history: int = 1
    keeps_restart: bool = False

    def step(self, batch: Batch) -> Batch:
        later = batch.time + self.time_step
        data = CLIMATE.mean(later) + self.keep * (batch.data - CLIMATE.mean(batch.time))
        return Batch(later, data.astype(np.float32), (None,) * len(data))


@dataclass(frozen=True)
class Remembering(Damped):
    """One that counts its steps, member by member."""

    keeps_restart: bool = True

    def step(self, batch: Batch) -> Batch:
        kept = tuple({"steps": np.array(1 + (own or {"steps": 0})["steps"])} for own in batch.restart)
        return replace(super().step(batch), restart=kept)


def model(keep: float = 1.0, **options) -> Gap:
    return Gap(Damped(keep), Options(prior="made", **options), Denoiser(CLIMATE.astype(np.float32)), {})


def batch(count: int, seed: int = 0) -> Batch:
    noise = np.random.default_rng(seed).standard_normal((count, *SHAPE))
    data = (CLIMATE.mean(builders.TIME) + CLIMATE.draw(noise)).astype(np.float32)
    return Batch(builders.TIME, data, (None,) * count, tuple(range(1, count + 1)), seed)


def anomalies(of: Batch) -> np.ndarray:
    """z (member, channel * lat * lon)."""
    return ((of.data - CLIMATE.mean(of.time)) / CLIMATE.scale).reshape(len(of.data), -1)


def test_states_of_the_climate_stay_states_of_the_climate():
    """A model that keeps every anomaly: after many steps the covariance is still C, within its sampling error."""
    k, at = 1500, batch(1500)
    of = model(sigma=0.5, levels=8)
    for _ in range(4):
        at = advance(of, at)
    size = int(np.prod(SHAPE))
    C = CLIMATE.correlation.apply(lambda values: values, np.eye(size).reshape(size, *SHAPE)).reshape(size, size)
    scale = np.sqrt(np.diag(C))
    found = np.cov(anomalies(at).T)
    np.testing.assert_allclose(found / np.outer(scale, scale), C / np.outer(scale, scale), atol=5 / np.sqrt(k) + 0.03)


def test_what_a_forecast_loses_comes_back_and_noise_alone_does_not_bring_it_back():
    """Half of every anomaly is lost at each step: with samples more variance is left than with the mean, and it lies
    along the climate's modes, where that of white noise does not."""
    left = {}
    for draw in ("sample", "mean", "noise"):
        at = batch(300)
        for _ in range(12):
            at = advance(model(0.5, sigma=1.0, levels=8, draw=draw), at)
        left[draw] = anomalies(at).T @ anomalies(at) / 300
    assert np.trace(left["mean"]) < 1e-3 * np.trace(left["sample"])
    C = CLIMATE.correlation
    size = int(np.prod(SHAPE))
    whitened = {draw: C.apply(lambda values: 1 / values, cov.reshape(size, *SHAPE)).reshape(size, size).trace() / size
                for draw, cov in left.items()}
    assert whitened["sample"] < 1.1 < whitened["noise"]


def test_a_member_has_the_same_bits_whatever_it_is_batched_with_and_others_at_another_time():
    of, at = model(), batch(3)
    whole = advance(of, at)
    one = Batch(at.time, at.data[2:], (None,), (3,), at.seed)
    np.testing.assert_array_equal(advance(of, one).data[0], whole.data[2])
    later = advance(of, replace(at, time=at.time + timedelta(hours=6)))
    assert np.abs(later.data - whole.data).max() > 0.01


def test_a_flow_may_make_the_forecasts_and_remembers_its_noise(tmp_path, monkeypatch):
    file.write(tmp_path / "climate.nc", CLIMATE, "made")
    asked = []
    monkeypatch.setattr(gap.flow, "create", lambda space, options: (asked.append(options), Remembering())[1])
    found = gap.create(CLIMATE.space, Options(prior=str(tmp_path / "climate.nc"), forecast="flow", checkpoint="a.nc"))
    assert asked == [gap.flow.Options(checkpoint="a.nc")] and found.keeps_restart
    once = advance(found, batch(2))
    twice = advance(found, once)
    assert [int(kept["steps"]) for kept in twice.restart] == [2, 2]


def test_water_is_clipped_or_kept():
    space = builders.space()
    humid, weights = humidity.humid(space), space.grid.area_weights.ravel()
    X = np.random.default_rng(0).standard_normal((1, len(humid), space.grid.size)) + 0.5
    clipped, kept = (replace(model(keep_water=chosen), model=Damped(space=space)).not_negative(X)[0][:, humid]
                     for chosen in (False, True))
    assert (weights * clipped).mean() > (weights * X[:, humid]).mean() + 0.05
    np.testing.assert_allclose((weights * kept).mean(axis=-1), (weights * X[:, humid]).mean(axis=-1), rtol=1e-12)


def test_all_levels_of_the_wiener_filter_together_are_the_flow_level_by_level():
    of, z = model(sigma=0.5, levels=5), anomalies(batch(2)).reshape(-1, *SHAPE)
    by_level = flow.carried(lambda one, sigma: of.denoiser.estimate(one, sigma, builders.TIME), z, of.sigmas)
    np.testing.assert_allclose(of.carried(z, builders.TIME), by_level, atol=2e-6)
    assert np.abs(by_level - z).max() > 0.1


def test_its_options_and_files_are_looked_at_before_anything_is_made(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="sigma must be above 0.01"):
        models.check("gap", {"prior": "a.nc", "sigma": 0.005}, "model")
    with pytest.raises(UserError, match="draw"):
        models.check("gap", {"prior": "a.nc", "draw": "white"}, "model")
    with pytest.raises(UserError, match="computes in float32 on a CPU"):
        models.check("gap", {"prior": "a.nc", "engine": "onnxruntime", "device": "cuda"}, "model")
    with pytest.raises(UserError, match="are options of climax"):
        models.check("gap", {"prior": "a.nc", "forecast": "flow", "device": "cuda"}, "model")


def test_it_says_what_it_has_seen_and_what_tells_it_from_others(tmp_path, monkeypatch):
    file.write(tmp_path / "climate.nc", CLIMATE, "made")
    monkeypatch.setenv("PLACE", str(tmp_path))
    asked = []
    monkeypatch.setattr(gap.climax, "create", lambda space, options: (asked.append(options), Damped())[1])
    found = gap.create(CLIMATE.space, Options(prior="$PLACE/climate.nc", sigma=0.2, engine="onnxruntime"))
    assert asked == [gap.climax.Options(engine="onnxruntime")]
    (fitted,) = found.seen
    assert fitted == (climates.START, climates.START + timedelta(days=49))
    assert found.identity["sigma"] == 0.2 and len(found.identity["prior"]) == 64 and found.name == "gap-damped"
    at = batch(2)
    assert advance(found, at).data.shape == at.data.shape
