"""The flow against what is known of it: its Gaussian, its equation, an error that it can learn, its steps."""

import math

import numpy as np
import pytest
import torch

from contracts.errors import UserError
from networks import checkpoint as checkpoints
from networks import planes, train
from networks.flow import emulator, network, source, task
from networks.flow.network import Flow
from networks.flow.source import Source
from networks.training import config, loop
from tests.networks import climax_builders as made
from tests.networks import training_case
from tests.networks.training_case import TRAINING, table

SPACE = made.small_space()
GRID, CHANNELS = SPACE.grid, len(SPACE.channels)


def sources(seed: int = 0) -> Source:
    """With a spectrum of its own in each channel, and channels that have something in common."""
    found, random = Source(GRID, CHANNELS), np.random.default_rng(seed)
    root = np.tril(random.standard_normal(found.root.shape)) / (1 + np.arange(len(found.root)))[:, None, None]
    found.root.copy_(torch.from_numpy(root + 0.3 * np.eye(CHANNELS)))
    return found


def draws(of: Source, count: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(count, of.rows, CHANNELS, generator=torch.Generator().manual_seed(seed))


def test_draws_have_the_coefficients_they_are_made_of():
    """Each is found again, so that the roots of many draws are the roots that they were drawn with."""
    one = sources()
    z = draws(one, 1)
    a = source.coefficients(one(z)[0].numpy(), source._analysis(GRID))
    expected = torch.einsum("ncd,pmnd->pmnc", one.root, torch.cat([z[0], torch.zeros(1, CHANNELS)])[one.row])
    np.testing.assert_allclose(a, expected.numpy(), atol=1e-5)
    assert a.size == 2 * one.rows * CHANNELS and np.count_nonzero(np.abs(a[..., 0]) > 1e-4) <= one.rows


def test_the_source_is_found_from_its_draws():
    one = sources()
    found = source.roots((field.numpy().astype(float) for field in one(draws(one, 3000))), GRID)
    for n in range(len(found)):
        expected = (one.root[n] @ one.root[n].T).numpy()
        scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
        assert np.abs(found[n] @ found[n].T - expected).max() < 0.1 * scale.max()


def test_variance_beyond_the_highest_degree_is_made_up_for():
    rough = np.random.default_rng(0).standard_normal((200, CHANNELS, *GRID.shape))
    one = Source(GRID, CHANNELS)
    one.root.copy_(torch.from_numpy(source.roots(rough, GRID)))
    variance = (torch.tensor(GRID.area_weights) * one(draws(one, 500)).square()).mean()
    assert float(variance) == pytest.approx(1.0, abs=0.03)


def test_the_flow_of_a_gaussian_ends_in_it():
    """dq/dθ = E[cos θ r - sin θ n | q] of n ~ N(0, 1) and r ~ N(m, v), in closed form."""
    m, v = 0.7, 0.4

    def N(q: torch.Tensor, theta: float) -> torch.Tensor:
        c, s = math.cos(theta), math.sin(theta)
        return c * m + c * s * (v - 1) / (c**2 + s**2 * v) * (q - s * m)

    n = torch.randn(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    r = network.grown(n, 32, N)
    np.testing.assert_allclose(r.numpy(), m + math.sqrt(v) * n.numpy(), atol=2e-3)
    half = math.pi / 4
    q = math.cos(half) * n + math.sin(half) * (m + math.sqrt(v) * n)
    gain = math.sin(half) * v / (math.cos(half) ** 2 + math.sin(half) ** 2 * v)
    np.testing.assert_allclose(network.estimate(q, half, N), m + gain * (q - math.sin(half) * m), atol=1e-9)


def test_before_it_has_learned_an_error_is_the_noise_bit_for_bit():
    flow = Flow(GRID, CHANNELS, 8, 1, np.zeros((4, *GRID.shape)))
    q, told = torch.randn(2, CHANNELS, *GRID.shape), torch.randn(2, 2 * CHANNELS + 6, *GRID.shape)
    assert torch.equal(network.grown(q, 4, network.velocity(flow, told)), q)


@pytest.fixture
def flows(work, settings):
    """flows(name, more) -> an experiment file of a flow about a small network that is there."""
    plain = settings("forecasts", epochs=2)
    if not plain.weights.exists():
        train.write_shards(plain)
        loop.train(plain)

    def file(name: str, more: str = ""):
        path = work / f"{name}.toml"
        text = TRAINING.format(name=name, epochs=3, more=f'begin = "{plain.weights}"\n{more}')
        text = text.replace("patch = 2\nembed_dim = 32\ndepth = 1\nheads = 4", KIND).replace("rollout = 2\n", "")
        path.write_text(text)
        return path

    return file


KIND = 'kind = "flow"\nwidth = 32\nblocks = 1\nsteps = 2\nerrors = 20'


def test_it_learns_errors_that_follow_from_the_state(flows):
    path = flows("errors")
    train.main([str(path)])
    settings = config.load(path)
    rows = table(settings.folder / "curves.csv")
    assert float(rows[-1]["validation_loss"]) < 0.7  # about 1 by the Gaussian alone
    left = {(row["kind"], row["phase"]): float(row["rmse"]) for row in table(settings.folder / "scores.csv")
            if row["channel"] == "temperature_500"}
    assert left["forecast with its mean error", "2"] < left["forecast", ""]
    most = checkpoints.read(settings.weights).weights["most"]
    assert most.shape == (2 * CHANNELS, GRID.shape[0]) and (most > 0).all() and most.max() < 20

    made_of = emulator.read(settings.weights, settings.space)
    fields = torch.from_numpy(np.stack([made.moving_waves(SPACE, made.START + n * made.STEP) for n in (0, 0)]))
    z = torch.from_numpy(made_of.noise.several(None, [np.random.default_rng(n) for n in (1, 2)]))
    (found,) = made_of.advance((fields,), 0, draws=z[None])
    (ahead,) = made_of.forecast.advance((fields,), 0)
    N = made_of.velocity(fields, ahead, 0)
    torch.testing.assert_close(found, ahead + made_of.size * network.grown(made_of.flow.source(z), 2, N))
    assert not torch.equal(found[0], found[1])


def test_killed_and_resumed_it_ends_with_the_same_bits(flows, monkeypatch):
    whole, cut = flows("whole_flow"), flows("cut_flow", "save_minutes = 1e-9\n")
    training_case.same_bits_after_a_kill(whole, cut, 9, monkeypatch)


def test_scale_and_memory_are_those_of_the_errors(flows, monkeypatch):
    """Of errors 2 x_t + y, x an autoregression with 0.6: the scale is 2, the memory 0.6."""
    random, rho = np.random.default_rng(0), 0.6
    walk = [random.standard_normal((CHANNELS, *GRID.shape))]
    for _ in range(2000):
        walk.append(rho * walk[-1] + math.sqrt(1 - rho**2) * random.standard_normal(walk[-1].shape))
    monkeypatch.setattr(task, "_errors", lambda data, forecast, window: (
        2 * np.stack(walk[window[0] : window[0] + 2]), np.full((2 * CHANNELS, GRID.shape[0]), window[0])))
    monkeypatch.setattr(task.validation, "spread", lambda windows, count: np.arange(0, 1998)[:, None])
    trainer_settings = config.load(flows("fitted"))
    found = task.fit(trainer_settings, 20, loop.data_of(trainer_settings), None)
    np.testing.assert_allclose(found.scale, 2, rtol=0.1)
    np.testing.assert_allclose(found.memory, rho, atol=0.03)
    assert (found.most == 1997).all()


def test_what_grows_out_of_noise_has_the_means_of_the_winds_over_the_globe_that_the_noise_has():
    winds = np.arange(CHANNELS) % 2 == 0
    flow = Flow(GRID, CHANNELS, 8, 1, np.zeros((planes.COUNT, *GRID.shape)), winds=list(winds))
    torch.nn.init.normal_(flow.leave.weight, generator=torch.Generator().manual_seed(1))
    flow.scale.copy_(torch.rand(flow.scale.shape, generator=torch.Generator().manual_seed(2)) + 0.5)
    q = torch.randn(2, CHANNELS, *GRID.shape, generator=torch.Generator().manual_seed(3))
    told = torch.randn(2, 2 * CHANNELS + planes.COUNT + network.DATE, *GRID.shape)
    with torch.no_grad():
        r = network.grown(q, 3, network.velocity(flow, told))
    means = [(torch.tensor(GRID.area_weights) * flow.scale * one).mean(dim=(-2, -1)) for one in (q, r)]
    moved = (means[1] - means[0]).abs().amax(dim=0).numpy()
    assert moved[winds].max() < 1e-5 and moved[~winds].min() > 1e-3


def test_it_is_told_of_no_state_beyond_those_of_its_training():
    """To the bit what it is told of the state at the bound, and all that it is told of one within."""
    of = Flow(GRID, CHANNELS, 8, 1, np.zeros((planes.COUNT, *GRID.shape)))
    of.most.copy_(torch.linspace(0.5, 2.0, GRID.shape[0]))
    x = torch.randn(3, CHANNELS, *GRID.shape, generator=torch.Generator().manual_seed(0))
    bound, seconds = of.most[:CHANNELS, :, None], np.zeros(3, np.int64)
    within = x.clamp(-bound, bound)
    told = of.conditions(100 * x, x, seconds)
    assert torch.equal(told, of.conditions((100 * x).clamp(-bound, bound), within, seconds))
    assert torch.equal(of.conditions(within, within, seconds)[:, : 2 * CHANNELS], torch.cat([within, within], dim=1))
    assert told[:, :CHANNELS].abs().max() == 2.0


@pytest.mark.parametrize(("old", "new", "said"), [
    ("steps = 2", "stages = 2", "unknown setting 'stages' of the kind flow"),
    ("batch = 8", 'batch = 8\nloss = "afcrps"', r"\[training\] loss: say nothing to a network of the kind flow"),
])
def test_settings_that_say_nothing_to_it_are_refused(flows, old, new, said):
    path = flows("odd_flow")
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UserError, match=said):
        config.load(path)
