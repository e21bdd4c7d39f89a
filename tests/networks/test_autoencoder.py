"""The autoencoder: what it is before it has learned, its symmetries, and how it is trained, read and refused."""

import hashlib
from contextlib import nullcontext
from dataclasses import replace
from functools import cache

import msgspec
import numpy as np
import pytest
import torch

from contracts.config import Experiment
from contracts.errors import UserError
from contracts.state import StateSpace
from networks import checkpoint as checkpoints
from networks import train
from networks.autoencoder import halves, reading
from networks.autoencoder.network import PLANES, Autoencoder
from networks.latent import card as latents
from networks.latent import eof, patches
from networks.latent.operator import Operator
from networks.training import config
from tests import builders
from tests.networks import climax_builders as made
from tests.networks import training_case
from tests.networks.training_case import TRAINING, table

SPACE = builders.space()
PATCH = (2, 4)
SIZE = int(np.prod(SPACE.shape))
CLIMAX = "patch = 2\nembed_dim = 32\ndepth = 1\nheads = 4\n"


def linear(where: StateSpace = SPACE, modes: int = 12, dtype=torch.float64) -> Operator:
    return Operator.of(latent(where, modes), dtype=dtype)


@cache
def latent(where: StateSpace, modes: int) -> eof.Eof:
    white = np.random.default_rng(7).standard_normal((40, *where.shape))
    errors = white + np.roll(white, 1, -1) + np.roll(white, 1, -2)
    scale = np.full(len(where.channels), 2.0)
    moments = eof.Moments.of(errors, where, PATCH, scale, overlap=True)
    return eof.fit(moments, where, PATCH, scale, white.mean(axis=0), modes, overlap=True)


def network(random: bool, of: Operator | None = None, still: np.ndarray | None = None) -> Autoencoder:
    """In double precision; with `random` weights its corrections give something."""
    still = np.zeros((PLANES, *SPACE.grid.shape)) if still is None else still
    found = Autoencoder(SPACE, 6, 2, of or linear(), still)
    if random:
        made.randomise(found, size=0.3)
    return found.double().requires_grad_(False)


def states(count: int = 2, seed: int = 0) -> torch.Tensor:
    """(count, channel, column)"""
    shape = (count, len(SPACE.channels), SPACE.grid.size)
    return torch.tensor(np.random.default_rng(seed).standard_normal(shape))


def test_before_it_has_learned_it_is_the_linear_latent_to_the_bit():
    found, maps, x = network(random=False), linear(), states()
    z, zeta = maps.encode(x), states(1).flatten()[: maps.size]
    assert torch.equal(found.encode(x), z)
    assert torch.equal(found.decode(z), maps.reconstruct(z, x.shape[1]))
    zeta = torch.tensor(np.random.default_rng(2).standard_normal(maps.size))
    expected = maps.increment(zeta, maps.variance.sqrt()).unflatten(-1, x.shape[1:])
    assert torch.allclose(found.increment(z[0], zeta, found.variance.sqrt()), expected, atol=1e-10)


def test_beyond_a_pole_a_flow_across_it_goes_on():
    """Solid rotation about an axis in the plane of the equator: beyond a pole, at latitude 180 - lat on the same
    meridian, east and north are those of a walk that goes on."""
    lat, lon = (np.deg2rad(axis) for axis in (SPACE.grid.lat, SPACE.grid.lon))
    margin = 3
    across = torch.tensor([-1.0, -1.0]).double()[:, None, None]
    beyond_south, beyond_north = -np.pi - lat[:margin][::-1], np.pi - lat[-margin:][::-1]
    all_lat = np.concatenate([beyond_south, lat, beyond_north])
    step = lon[1] - lon[0]
    all_lon = np.arange(-margin, len(lon) + margin) * step

    def flow(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
        """Components of e_x x r along the unit vectors that a step in longitude and in latitude make."""
        lat, lon = np.meshgrid(lat, lon, indexing="ij")
        zero = np.zeros_like(lat)
        r = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
        velocity = np.stack([zero, -r[2], r[1]])
        east = np.stack([-np.sin(lon), np.cos(lon), zero])
        north = np.stack([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)])
        return np.stack([(velocity * east).sum(0), (velocity * north).sum(0)])

    found = halves.padded(torch.tensor(flow(lat, lon))[None], margin, across)[0]
    assert np.allclose(found.numpy(), flow(all_lat, all_lon), atol=1e-12)


def test_halves_put_together_are_the_whole():
    x, mirror = states().unflatten(-1, SPACE.grid.shape), torch.tensor(patches.mirror_sign(SPACE))[:, None, None]
    for margin in (1, 3):
        cut = halves.halves(x, margin, torch.ones_like(mirror), mirror)
        assert cut.shape[-2:] == (SPACE.grid.shape[0] // 2 + 2 * margin, SPACE.grid.shape[1] + 2 * margin)
        assert torch.equal(halves.whole(cut[..., margin:-margin, margin:-margin], mirror), x)
        south, north = cut.chunk(2)  # each has rows of the other beyond the equator
        assert torch.equal(north[..., margin - 1, :], (south * mirror)[..., margin, :])


def test_mirrored_states_have_the_mirrored_encoding_and_so_have_shifted_ones():
    """Without mountains and land; variances of functions are not asked for their halves."""
    lat = np.deg2rad(SPACE.grid.lat)[:, None] * np.ones(SPACE.grid.shape)
    still = np.stack([np.zeros_like(lat), np.zeros_like(lat), np.sin(lat), np.cos(lat)])
    maps = linear()
    even = Operator(maps.grids, torch.zeros_like(maps.mean), maps.scale, maps.variance)
    found, x = network(True, even, still), states().unflatten(-1, SPACE.grid.shape).numpy()

    def kept(fields: np.ndarray) -> np.ndarray:
        return found.decode(found.encode(torch.tensor(fields).flatten(-2))).unflatten(-1, SPACE.grid.shape).numpy()

    assert np.abs(kept(x) - maps.put_back(maps.project(torch.tensor(x).flatten(1))).numpy().reshape(x.shape)).max() > 1
    assert np.allclose(kept(patches.mirrored(x, SPACE).copy()), patches.mirrored(kept(x), SPACE), atol=1e-9)
    assert np.allclose(kept(np.roll(x, 4, -1)), np.roll(kept(x), 4, -1), atol=1e-9)


def test_gradients_are_those_of_finite_differences_and_an_increment_depends_on_the_state():
    found = network(random=True)
    zeta, direction = torch.tensor(np.random.default_rng(1).standard_normal((2, found.size)))
    z, g, deviation = found.encode(states()), states(1)[0], found.variance.sqrt()

    def product(zeta: torch.Tensor) -> torch.Tensor:
        return (found.increment(z[0], zeta, deviation) * g).sum()

    gradient = torch.func.grad(product)(zeta)
    up, down = product(zeta + 1e-4 * direction), product(zeta - 1e-4 * direction)
    assert float(gradient @ direction) == pytest.approx(float(up - down) / 2e-4, rel=1e-5)
    here, there = (found.increment(one, zeta, deviation) for one in z)
    assert (here - there).norm() > 0.01 * here.norm()


def experiment_file(folder, name: str, network: str, more: str = "", epochs: int = 4):
    path = folder / f"{name}.toml"
    text = TRAINING.format(name=name, epochs=epochs, more=more).replace(CLIMAX, network)
    path.write_text(text.replace("rollout = 2\nepochs = 1", "rollout = 1\nepochs = 1"))
    return path


OWN = 'kind = "autoencoder"\nlatent = "latent/linear.safetensors"\nhidden = 8\nlayers = 2\n'


@pytest.mark.parametrize(("more", "phase", "said"), [
    ("unobserved = { 2m_temperature = 0.1 }", "", "unobserved: say"), ("predicts = 'field'", "", "predicts: say"),
    ("predicts = 'field'", "noise = 0.1", "predicts, phases.noise: say"), ("", "mixing = 0.1", "phases.mixing: say"),
    ("predicts = 'tendency'", "noise = 0.0", ""),
])
def test_settings_of_training_that_say_nothing_to_it_are_refused(tmp_path, more, phase, said):
    path = experiment_file(tmp_path, "odd", OWN, more)
    path.write_text(path.read_text().replace("rollout = 1\n", f"rollout = 1\n{phase}\n"))
    with pytest.raises(UserError, match=f"{said} nothing to a network of the kind autoencoder; leave") if said else \
            nullcontext():
        config.load(path)


@pytest.fixture(scope="module")
def with_latent(work):
    """The work folder, of all experiments here, with a linear latent of its states, made from another year."""
    space = made.small_space()
    (work / "latent").mkdir(exist_ok=True)
    write_latent(work / "latent/linear.safetensors", space, 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORK", str(work))
        yield work


def write_latent(path, space: StateSpace, modes: int) -> None:
    """Of the made weather's mean and scales."""
    when = made.START.replace(year=1985)
    mean, std = np.array([builders.CLIMATE[channel.variable] for channel in space.channels]).T
    of_weather = replace(latent(space, modes), mean=np.broadcast_to(mean[:, None, None], space.shape), scale=0.3 * std)
    latents.write(path, of_weather, latents.Card(
        kind="eof", channels=tuple(channel.name for channel in space.channels), patch=PATCH, modes=modes, overlap=True,
        grid=latents.GridCard(lat=tuple(space.grid.lat.tolist()), lon=tuple(space.grid.lon.tolist())),
        errors=latents.Errors(first=when, last=when.replace(month=12), count=40, lead_hours=24, natures=("made",),
                              weights="made", weights_sha256=""), command="made", source="made"))


@pytest.fixture(scope="module")
def trained(with_latent):
    """Settings of a training that has ended."""
    path = experiment_file(with_latent, "encoder", OWN, 'weights = "float32"')
    train.main([str(path)])
    return config.load(path)


def test_it_learns_to_lose_less_than_the_linear_latent(trained):
    rows = table(trained.folder / "scores.csv")
    rmse = {(row["phase"] != "", row["lead_hours"], row["channel"]): float(row["rmse"]) for row in rows}  # of the end
    linear = {key[1:]: value for key, value in rmse.items() if not key[0]}
    assert len(linear) == 2 * len(trained.space.channels)
    assert all(rmse[(True, *key)] < 0.95 * value for key, value in linear.items())


def test_what_is_read_is_what_was_trained_with_variances_in_proportion(trained):
    where = trained.experiment.in_work("latent/linear.safetensors")
    found = reading.read(trained.weights, where, trained.space, dtype=torch.float64)
    weights = checkpoints.read(trained.weights)
    assert weights.card.kind == "autoencoder" and weights.card.network.hidden == 8
    assert weights.card.network.latent_sha256 == hashlib.sha256(where.read_bytes()).hexdigest()
    assert not torch.equal(found.variance, found.linear.variance) and (found.variance > 0).all()
    ratio = found.variance / found.linear.variance
    assert torch.allclose(ratio, found.linear.over_patches(ratio), rtol=1e-5)
    x = torch.tensor(made.moving_waves(trained.space, made.START), dtype=torch.float64).flatten(-2)
    lost, of_linear = found.decode(found.encode(x)) - x, found.linear.reconstruct(found.linear.encode(x), len(x)) - x
    assert (lost / found.linear.scale.view_as(x)).norm() < (of_linear / found.linear.scale.view_as(x)).norm()


def test_killed_and_resumed_it_ends_with_the_same_bits(trained, with_latent, monkeypatch):
    path = experiment_file(with_latent, "broken", OWN, 'weights = "float32"\nsave_minutes = 1e-9')
    training_case.killed_and_resumed(path, 9, monkeypatch)
    whole, broken = (checkpoints.read(one.weights).weights for one in (trained, config.load(path)))
    assert all(np.array_equal(broken[name], array) for name, array in whole.items())


def test_another_latent_is_refused(trained, with_latent):
    other = with_latent / "latent/other.safetensors"
    write_latent(other, trained.space, 5)
    with pytest.raises(UserError, match="was trained about a latent of sha256"):
        reading.read(trained.weights, other, trained.space)


def test_an_experiment_in_times_that_it_has_seen_is_refused(trained, with_latent):
    times = {"start": "1990-01-20T00:00:00Z", "end": "1990-02-01T00:00:00Z"}
    later = msgspec.convert({"name": "later"} | times, Experiment)
    with pytest.raises(UserError, match="encoder.safetensors: was made from states of"):
        reading.read(trained.weights, with_latent / "latent/linear.safetensors", trained.space, later)


@pytest.mark.parametrize(("own", "more", "words"), [
    (OWN, 'begin = "climax_t31"', "begins with its linear latent"),
    (OWN.replace("layers = 2", "layers = 5"), "", "farther than a hemisphere of 4 rows"),
    (OWN.replace("linear", "nowhere"), "", "card of this latent cannot be read"),
])
def test_settings_that_do_not_fit_are_refused(with_latent, own, more, words):
    with pytest.raises(UserError, match=words):
        train.main([str(experiment_file(with_latent, "odd", own, more))])
