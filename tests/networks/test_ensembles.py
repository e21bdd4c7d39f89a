"""Ensembles of a stochastic network: their score, noise that remains, what a training leaves alone."""

import logging
from math import pi, sqrt

import numpy as np
import pytest
import torch

from contracts.errors import UserError
from networks import checkpoint as checkpoints
from networks import starter, train
from networks.climax import emulator, stepping
from networks.climax.network import ClimaX, initialise
from networks.climax.sizes import NoiseSizes
from networks.noise import Noise
from networks.passes import emulator_of
from networks.training import config, loop
from networks.training.loss import afcrps
from tests.networks import climax_builders as made
from tests.networks import training_case
from tests.networks.training_case import TRAINING, table

SPACE = made.small_space()
NOISE = NoiseSizes(local=3, common=2, blocks=1, memory=(0.5, 0.9))


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_of_two_members_the_score_has_a_closed_form():
    x, y = normal(2, 50), normal(50, seed=1)
    for alpha in (0.0, 0.95, 1.0):
        expected = ((x[0] - y).abs() + (x[1] - y).abs()) / 2 - (1 - (1 - alpha) / 2) * (x[0] - x[1]).abs() / 2
        torch.testing.assert_close(afcrps(x, y, alpha), expected)


def test_the_score_is_that_share_of_the_fair_and_the_plain_one():
    """By double sums over all members."""
    x, y, alpha = normal(4, 30), normal(30, seed=1), 0.7
    error, apart = (x - y).abs().mean(0), (x[:, None] - x).abs().sum((0, 1))
    fair, plain = error - apart / (2 * 4 * 3), error - apart / (2 * 4**2)
    torch.testing.assert_close(afcrps(x, y, alpha), alpha * fair + (1 - alpha) * plain)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_with_alpha_one_the_number_of_members_does_not_matter(count):
    """CRPS of N(0, s) and a truth N(0, 1), by E|x - y| - E|x - x'|/2."""
    s, size = 0.8, 400_000
    expected = sqrt(2 / pi) * (sqrt(1 + s**2) - s * sqrt(2) / 2)
    found = afcrps(s * normal(count, size), normal(size, seed=1), 1.0)
    assert float(found.mean()) == pytest.approx(expected, abs=4 * float(found.std()) / sqrt(size))


def test_the_fair_score_is_least_at_the_true_spread():
    size = 200_000
    x, y = normal(2, size), normal(size, seed=1)
    spreads = (0.7, 0.85, 1.0, 1.15, 1.3)
    means = [float(afcrps(s * x, y, 1.0).mean()) for s in spreads]
    assert spreads[int(np.argmin(means))] == 1.0


def test_noise_keeps_its_variance_and_remembers():
    noise = Noise((20_000, 4), (0.5, 0.9), common=1)
    random, z = np.random.default_rng(0), [None]
    for _ in range(20):
        z.append(noise.next(z[-1], random))
    now, later = (np.stack(z[first:last]).astype(float) for first, last in ((1, -1), (2, None)))
    np.testing.assert_allclose(now[..., :3].std(axis=(0, 1)), 1.0, atol=0.02)
    np.testing.assert_allclose((now * later)[..., :3].mean(axis=(0, 1)), [0.5, 0.9, 0.5], atol=0.02)
    assert (now[..., 3] == now[:, :1, 3]).all() and now[:, 0, 3].std() > 0
    assert (now[..., 0] != now[:, :1, 0])[:, 1:].all()


@pytest.mark.parametrize("fault", [{"memory": ()}, {"memory": (1.0,)}, {"common": 5}])
def test_noise_that_cannot_be_is_refused(fault):
    with pytest.raises(ValueError, match="must be"):
        Noise(**{"shape": (3, 4), "memory": (0.5,), "common": 0, **fault})


def test_a_network_with_zero_noise_or_untrained_noise_is_the_plain_one_bit_for_bit():
    card = made.card(SPACE)
    noisy = made.card(SPACE, noise=NOISE)
    plain, other = ClimaX(stepping.architecture(card)), ClimaX(stepping.architecture(noisy))
    initialise(plain, torch.Generator().manual_seed(1))
    initialise(other, torch.Generator().manual_seed(1))
    assert {name: True for name in plain.state_dict()} == {
        name: torch.equal(tensor, plain.state_dict()[name]) for name, tensor in other.state_dict().items()
        if not name.startswith("conditions.")}
    x, lead = torch.randn(2, 8, 8, 16), torch.tensor([0.06])
    draws = torch.randn(2, stepping.architecture(noisy).tokens, NOISE.numbers)
    expected = plain(x, lead)
    assert torch.equal(other(x, lead, noise=draws), expected)
    for parameter in other.conditions.parameters():
        torch.nn.init.normal_(parameter)
    assert torch.equal(other(x, lead, noise=0 * draws), expected)
    assert not torch.equal(other(x, lead, noise=draws), expected)


def test_the_paths_of_a_network_with_noise_agree():
    """By its definition, in training and with weights that stay."""
    card = made.card(SPACE, noise=NOISE)
    stepped = emulator.ClimaXEmulator.of(made.checkpoint(card), [channel.name for channel in SPACE.channels])
    fields = torch.from_numpy(np.stack([made.moving_waves(SPACE, made.START)] * 2))
    draws = torch.from_numpy(stepped.noise.several(None, [np.random.default_rng(n) for n in (0, 1)]))[None]
    steps, network = stepped.stepping, stepped.network
    by_definition = network(steps.inputs(fields), stepped.lead, torch.tensor(steps.token), draws[0])
    expected = steps.next(fields, by_definition[:, list(steps.output)])
    scale = expected.std(dim=(0, 2, 3), keepdim=True)
    for one in (stepped, stepped.settled()):
        (found,) = one.advance((fields,), 0, draws=draws)
        assert ((found - expected).abs() / scale).max() < 1e-5
    assert not torch.equal(expected[0], expected[1])
    with pytest.raises(ValueError, match="expected draws for 1 steps, got none"):
        stepped.advance((fields,), 0)


PART = """trained = ["blocks.0.mlp", "norm", "head", "conditions"]
begin = "plain"
loss = "afcrps"
members = 3
"""


@pytest.fixture
def ensembles(work, settings, monkeypatch, tmp_path_factory):
    """ensembles(name, more) -> an experiment file that trains a part of a plain network, which comes with the code."""
    plain = settings("plain", epochs=2)
    if not plain.weights.exists():
        train.write_shards(plain)
        loop.train(plain)
    monkeypatch.setattr(starter, "FOLDER", plain.folder)

    def file(name: str, more: str = PART):
        path = work / f"{name}.toml"
        text = TRAINING.format(name=name, epochs=2, more=more + "optimiser = 'muon'\n")
        path.write_text(text.replace("[training]", "[network.noise]\nlocal = 3\nblocks = 1\n[training]", 1))
        return path

    return file


def test_a_part_is_trained_and_the_file_holds_no_more_than_that(ensembles, caplog):
    caplog.set_level(logging.INFO)
    path = ensembles("part")
    train.main([str(path)])
    settings = config.load(path)
    begun, found = (checkpoints.read(one) for one in (settings.begin, settings.weights))
    changed = {name for name, array in found.weights.items() if not np.array_equal(array, begun.weights.get(name))}
    assert {name.split(".")[0] for name in changed} == {"blocks", "norm", "head", "conditions"}
    assert not any("attn" in name for name in changed)
    assert all(np.array_equal(array, begun.constants[name]) for name, array in found.constants.items())
    assert found.card.normalization == begun.card.normalization
    assert settings.weights.stat().st_size < 0.6 * settings.begin.stat().st_size
    assert "spread/error, mean of channels: " in caplog.text
    with pytest.raises(UserError, match="draws random numbers at each step, and one forecast of a state is asked for"):
        emulator_of(settings.weights, settings.space)
    rows = table(settings.folder / "curves.csv")
    assert float(rows[1]["validation_loss"]) < float(rows[0]["training_loss"])  # of one step each


def test_weights_need_the_base_that_they_were_trained_from(ensembles, monkeypatch):
    path = ensembles("based")
    train.main([str(path)])
    settings = config.load(path)
    other = checkpoints.read(settings.begin)
    weights = {name: 2 * array for name, array in other.weights.items()}
    checkpoints.write(settings.folder / "plain.safetensors",
                      checkpoints.Checkpoint(other.card, weights, other.constants))
    monkeypatch.setattr(starter, "FOLDER", settings.folder)
    with pytest.raises(UserError, match=r"based.safetensors: needs plain of sha256 .{12}…, which comes with the code"):
        checkpoints.read(settings.weights)


def test_killed_and_resumed_it_ends_with_the_same_bits(ensembles, monkeypatch):
    whole, cut = ensembles("whole_ensembles"), ensembles("cut_ensembles", PART + "save_minutes = 1e-9\n")
    training_case.same_bits_after_a_kill(whole, cut, 9, monkeypatch)


def test_members_begin_about_a_centre_as_the_truth_does(ensembles):
    """They lie as far from one another as from the truth; without disturbances all are the truth."""
    path = ensembles("first")
    path.write_text(path.read_text().replace("epochs = 2\n", "epochs = 2\nnoise = 1.0\n"))
    trainer = loop.prepared(config.load(path))
    task, first = trainer.task, torch.from_numpy(trainer.data.series.fields(np.arange(8)))
    found = (task.first(first, loop.Place()) - first) / task.tendency
    apart = torch.stack([(found[m] - found[n]).square().mean() for m, n in ((0, 1), (0, 2), (1, 2))]).mean()
    assert float(found.square().mean() / apart) == pytest.approx(1, abs=0.3)  # 1 + 1 by 1 + 1
    assert torch.equal(task.first(first, loop.Place(phase=1)), first.expand(3, *first.shape))


@pytest.mark.parametrize(("old", "new", "said"), [
    ('loss = "afcrps"', "", r"belong together: give both or neither"),
    ('"blocks.0.mlp"', '"blocks.3"', r"no parameter's name begins with 'blocks.3'; they begin with var_embed"),
    ('begin = "plain"', "", "begin names no weights"),
    ("members = 3", "members = 5", "members"),
    ('begin = "plain"', 'begin = "plain"\ndamping = { truncation = 3 }', "steps with damping = None, and so must"),
])
def test_settings_that_do_not_go_together_are_refused(ensembles, old, new, said):
    path = ensembles("refused", PART.replace(old, new))
    with pytest.raises(UserError, match=said):
        loop.prepared(config.load(path))
