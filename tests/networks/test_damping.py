"""A network that gives what damping takes: what is carried on of an anomaly, the card, and training with it."""

import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from contracts.errors import UserError
from contracts.grid import Grid
from networks import card, harmonics, train
from networks import checkpoint as checkpoints
from networks.checkpoint import Checkpoint
from networks.climax.card import Damping
from networks.climax.stepping import Damped, Stepping
from networks.training import config, loop, samples
from networks.training.task import Place
from tests.networks import climax_builders as made
from tests.networks.fields import harmonic
from tests.networks.training_case import TRAINING

FACTOR = 0.5
SPACE = made.small_space()
NAMES = [channel.name for channel in SPACE.channels]


def damped_card(truncation: int = 5):
    return made.card(SPACE, damping=Damping(truncation, {"2m_temperature": FACTOR}))


def climatology() -> np.ndarray:
    return np.random.default_rng(4).normal(280.0, 20.0, SPACE.shape).astype(np.float32)


@pytest.mark.parametrize("n, m", [(0, 0), (1, 1), (3, 2), (6, 0), (7, 7)])
def test_an_anomaly_of_one_degree_is_carried_on_as_diffusion_leaves_it(n, m):
    """exp(-n(n+1)/N(N+1)), harmonics by SciPy; half of that in the channel that says so."""
    mean, wave = climatology(), harmonic(SPACE.grid, n, m)
    damped = Damped(damped_card(), mean, NAMES)
    found = damped(torch.from_numpy((mean + 10 * wave)[None].astype(np.float32)))[0].numpy() - mean
    for name, field in zip(NAMES, found, strict=True):
        left = np.exp(-n * (n + 1) / 30) * (FACTOR if name == "2m_temperature" else 1.0)
        np.testing.assert_allclose(field, left * 10 * wave, atol=2e-4)


def test_the_climatology_itself_stays_to_the_last_bit():
    mean = climatology()
    damped = Damped(damped_card(), mean, NAMES)
    np.testing.assert_array_equal(damped(torch.from_numpy(mean[None]))[0].numpy(), mean)


def test_the_network_gives_the_rest():
    """next = c + D(x - c) + tendency_std · y, with the channels in another order than the card's."""
    of, mean = damped_card(), climatology()
    names = NAMES[::-1]
    steps = Stepping(of, made.checkpoint(made.card(SPACE)).constant_inputs, names, climatology=mean)
    rng = np.random.default_rng(0)
    fields, said = (torch.from_numpy(rng.normal(size=(2, *SPACE.shape)).astype(np.float32)) for _ in range(2))
    fields = fields + torch.from_numpy(mean[::-1].copy())
    scale = torch.tensor([of.normalization[name].tendency_std for name in names])[:, None, None]
    expected = Damped(of, mean, names)(fields) + scale * said
    torch.testing.assert_close(steps.next(fields, said), expected)


def test_damping_and_climatology_come_back_from_the_files(tmp_path):
    plain = made.checkpoint(made.card(SPACE))
    path = tmp_path / "damped.safetensors"
    checkpoints.write(path, Checkpoint(damped_card(), plain.weights, plain.constants, climatology()))
    found = checkpoints.read(path)
    assert found.card.network.damping == Damping(5, {"2m_temperature": FACTOR})
    assert found.climatology is not None
    np.testing.assert_array_equal(found.climatology, climatology())
    assert set(found.weights) == set(plain.weights)


def test_a_damping_without_its_climatology_is_refused():
    plain = made.checkpoint(made.card(SPACE))
    with pytest.raises(ValueError, match="needs a climatology"):
        Checkpoint(damped_card(), plain.weights, plain.constants)


@pytest.mark.parametrize("changes, sentence", [
    ({"predicts": "field"}, "belongs to a network that predicts the tendency"),
    ({"damping": Damping(5, {"salinity": 0.5})}, "salinity"),
])
def test_a_damping_that_makes_no_sense_is_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        made.card(SPACE, **({"damping": Damping(5)} | changes))


# --- training with it ---


def test_mixing_is_smooth_in_place_and_correlated_in_pressure():
    ln_p = np.log([5_000.0, 85_000.0, 92_500.0])
    found = samples.mixing(400, ln_p, (32, 64), 1, 0, 2, 3)
    np.testing.assert_array_equal(found, samples.mixing(400, ln_p, (32, 64), 1, 0, 2, 3))
    assert (found != samples.mixing(400, ln_p, (32, 64), 1, 0, 2, 4)).all()
    assert found.std() == pytest.approx(1.0, abs=0.1)
    unit = found / found.std(axis=(1, 2, 3), keepdims=True)
    levels = np.einsum("bcyx,bdyx->cd", unit, unit) / unit[:, 0].size
    np.testing.assert_allclose(levels, np.exp(-0.5 * (ln_p[:, None] - ln_p) ** 2), atol=0.05)
    neighbours = (unit * np.roll(unit, 1, axis=-1)).mean()
    assert neighbours == pytest.approx(np.exp(-1 / (4 * samples.SMOOTH**2)), abs=0.03)  # of noise behind a Gaussian


def test_errors_of_unobserved_channels_are_large_and_partly_common():
    shape = (200, 3, 32, 64)
    found = samples.unobserved(shape, 1, 0, 2, 3)
    np.testing.assert_array_equal(found, samples.unobserved(shape, 1, 0, 2, 3))
    assert (found == samples.unobserved(shape, 1, 0, 2, 4)).mean() < 1e-3
    np.testing.assert_allclose(found.std(axis=(0, 1, 3)), 1.0, atol=0.12)  # at the poles too
    assert found.std() == pytest.approx(1.0, abs=0.03)
    np.testing.assert_allclose(np.corrcoef(found.transpose(1, 0, 2, 3).reshape(3, -1)), (1 + np.eye(3)) / 2, atol=0.1)
    assert 0.2 < found.mean(axis=(-2, -1)).var() < 0.6  # of the globe's mean, the rest is pattern


def test_only_unobserved_channels_of_first_states_are_in_error(settings):
    small = settings("unobserved", more="unobserved = { 2m_temperature = 3.0 }\n")
    train.write_shards(small)
    trainer = loop.prepared(small)
    fields = torch.zeros(4, *small.space.shape)
    errors = trainer.task.unobserved(Place(), fields)
    row = [channel.name for channel in small.space.channels].index("2m_temperature")
    expected = samples.unobserved((4, 1, *small.space.shape[1:]), small.experiment.seed, 0, 0, 0)[:, 0]
    torch.testing.assert_close(errors[:, row], 3 * trainer.task.tendency[row] * torch.from_numpy(expected))
    assert not errors[:, [number for number in range(len(small.space.channels)) if number != row]].any()


def test_unobserved_names_channels_of_the_state(tmp_path):
    text = TRAINING.format(name="n", epochs=1, more="unobserved = { salinity = 1.0 }\n")
    (tmp_path / "e.toml").write_text(text)
    with pytest.raises(UserError, match="unobserved names salinity"):
        config.load(tmp_path / "e.toml")


def trained(small: config.Settings) -> Path:
    train.write_shards(small)
    return loop.train(small)


@pytest.mark.parametrize("of_windows", [{}, {"window": [2, 4]}], ids=["as they were", "within windows"])
def test_a_training_begins_with_the_weights_it_is_told(settings, of_windows):
    first = trained(settings("first"))
    second = settings("second", more=f'begin = "{first}"\n')
    trainer = loop.prepared(msgspec.structs.replace(second, network=second.network | of_windows))
    begun, weights = loop.fresh(trainer).network.state_dict(), checkpoints.read(first).weights
    assert set(begun) == set(weights)
    for name, tensor in begun.items():
        np.testing.assert_array_equal(tensor.numpy(), weights[name])


def test_what_the_weights_to_begin_with_have_seen_the_trained_ones_have_seen(settings):
    first = trained(settings("first"))
    place = checkpoints.card_path(first)
    before = card.read(place, first)
    earlier = (datetime(1980, 1, 1, tzinfo=UTC), datetime(1980, 12, 31, tzinfo=UTC))
    place.write_text(card.to_toml(msgspec.structs.replace(before, seen=(earlier, *before.seen))))
    trainer = loop.prepared(settings("second", more=f'begin = "{first}"\n'))
    assert trainer.task.card.seen == (earlier, *before.seen)


def test_weights_of_another_network_are_refused_to_begin_with(settings):
    first = trained(settings("smaller"))
    larger = settings("larger", more=f'begin = "{first}"\n')
    larger = msgspec.structs.replace(larger, network=larger.network | {"depth": 2})
    with pytest.raises(UserError, match=re.escape(str(first))):
        loop.fresh(loop.prepared(larger))


def test_a_damped_network_learns_and_serves_with_its_climatology(settings):
    small = settings("damped", 3, "damping = { truncation = 5 }\n")
    found = checkpoints.read(trained(small))
    trainer = loop.prepared(small)
    np.testing.assert_array_equal(found.climatology, trainer.data.statistics.climatology.coefficients[0])
    rows = (small.folder / "curves.csv").read_text().splitlines()
    losses = [float(row.split(",")[rows[0].split(",").index("validation_loss")]) for row in rows[1:4]]
    assert losses[2] < losses[0]


def test_a_truncation_beyond_the_grid_only_damps_less():
    grid = Grid.regular(8, 16)
    assert len(harmonics.diffusion(grid, 100)) == 8
    np.testing.assert_allclose(harmonics.diffusion(grid, 100)[[0, 7]], [1.0, np.exp(-56 / 10100)])
