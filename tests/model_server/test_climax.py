"""ClimaX: the network against its definition, the collapsed path against the network, the model behind the protocol."""

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import torch

from contracts import state
from contracts.errors import UserError
from contracts.state import State, StateSpace
from model_server import checkpoint as checkpoints
from model_server import models
from model_server.forecast import forecast
from model_server.models import climax
from model_server.models.base import Batch
from model_server.models.climax import collapsed, memory, stepping
from model_server.models.climax.network import (
    Architecture,
    ClimaX,
    initialise,
    parameter_count,
    patched,
    positions,
    unpatched,
)
from tests import builders
from tests.model_server import climax_builders as made
from tests.model_server.conftest import CHECKOUT

UPSTREAM = Architecture(nlat=32, nlon=64, variables=48, outputs=48)  # the official 5.625 degree file
SMALL = Architecture(nlat=8, nlon=16, variables=5, outputs=3, patch=2, embed_dim=24, depth=2, heads=3)
CPU = torch.device("cpu")


def documented_shapes(layout: str) -> dict[str, tuple[int, ...]]:
    """The state_dict of microsoft/ClimaX v0.3.1 with its 48 default variables, written down from its description."""
    v, d, p, places = 48, 1024, 2, 512
    shapes = {"var_embed": (1, v, d), "var_query": (1, 1, d), "pos_embed": (1, places, d)}
    if layout == "serial":
        for i in range(v):
            shapes |= {f"token_embeds.{i}.proj.weight": (d, 1, p, p), f"token_embeds.{i}.proj.bias": (d,)}
    else:
        shapes |= {"token_embeds.proj_weights": (v, d, 1, p, p), "token_embeds.proj_biases": (v, d)}
    linear = {"lead_time_embed": (d, 1), "var_agg.out_proj": (d, d), "head.0": (d, d), "head.2": (d, d),
              "head.4": (v * p * p, d)}
    for i in range(8):
        linear |= {f"blocks.{i}.attn.qkv": (3 * d, d), f"blocks.{i}.attn.proj": (d, d),
                   f"blocks.{i}.mlp.fc1": (4 * d, d), f"blocks.{i}.mlp.fc2": (d, 4 * d)}
        shapes |= {f"blocks.{i}.{norm}.{what}": (d,) for norm in ("norm1", "norm2") for what in ("weight", "bias")}
    shapes |= {"norm.weight": (d,), "norm.bias": (d,)}
    shapes |= {"var_agg.in_proj_weight": (3 * d, d), "var_agg.in_proj_bias": (3 * d,)}
    return shapes | {f"{n}.weight": s for n, s in linear.items()} | {f"{n}.bias": s[:1] for n, s in linear.items()}


@pytest.mark.parametrize(("layout", "keys"), [("serial", 209), ("parallel", 115)])
def test_the_documented_state_dict_of_upstream_loads_strictly(layout, keys):
    shapes = documented_shapes(layout)
    with torch.device("meta"):
        network = ClimaX(UPSTREAM, layout)
        content = {name: torch.empty(shape) for name, shape in shapes.items()}
    network.load_state_dict(content, strict=True, assign=True)
    assert len(shapes) == keys
    assert parameter_count(network) == 108_088_512


def network(size: Architecture = SMALL, layout: str = "parallel", seed: int = 0) -> ClimaX:
    made_network = ClimaX(size, layout)
    made.randomise(made_network, seed)
    return made_network.eval()


def fields(size: Architecture, batch: int = 2, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, size.variables, size.nlat, size.nlon, generator=generator)


def softmax(x):
    shifted = np.exp(x - x.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def attention(q, k, v, heads):
    """(n, D), (m, D), (m, D) -> (n, D), head by head."""
    parts = []
    for one_q, one_k, one_v in zip(*(np.split(x, heads, axis=-1) for x in (q, k, v)), strict=True):
        parts.append(softmax(one_q @ one_k.T / np.sqrt(one_q.shape[-1])) @ one_v)
    return np.concatenate(parts, axis=-1)


def by_hand(w: dict, x: np.ndarray, lead: float, size: Architecture) -> np.ndarray:
    """One forecast x (V, lat, lon) straight from the paper's description, place by place, in float64."""
    from scipy.special import erf

    p, heads = size.patch, size.heads

    def linear(name, h):
        return h @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(name, h):
        centred = h - h.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]

    def gelu(h):
        return h * (1 + erf(h / np.sqrt(2))) / 2

    rows = []
    for i in range(size.nlat // p):
        for j in range(size.nlon // p):
            window = x[:, i * p : (i + 1) * p, j * p : (j + 1) * p]
            tokens = np.einsum("vdpq,vpq->vd", w["token_embeds.proj_weights"][:, :, 0], window)
            tokens = tokens + w["token_embeds.proj_biases"] + w["var_embed"][0]
            q, k, v = (
                what @ part.T + bias
                for what, part, bias in zip(
                    (w["var_query"][0], tokens, tokens), np.split(w["var_agg.in_proj_weight"], 3),
                    np.split(w["var_agg.in_proj_bias"], 3), strict=True)
            )
            rows.append(linear("var_agg.out_proj", attention(q, k, v, heads))[0])
    h = np.array(rows) + w["pos_embed"][0] + linear("lead_time_embed", np.array([lead]))
    for b in range(size.depth):
        name = f"blocks.{b}"
        q, k, v = np.split(linear(f"{name}.attn.qkv", norm(f"{name}.norm1", h)), 3, axis=-1)
        h = h + linear(f"{name}.attn.proj", attention(q, k, v, heads))
        h = h + linear(f"{name}.mlp.fc2", gelu(linear(f"{name}.mlp.fc1", norm(f"{name}.norm2", h))))
    h = norm("norm", h)
    for layer in range(size.decoder_depth):
        h = gelu(linear(f"head.{2 * layer}", h))
    h = linear(f"head.{2 * size.decoder_depth}", h)
    out = np.empty((size.outputs, size.nlat, size.nlon))
    for number, row in enumerate(h):
        i, j = divmod(number, size.nlon // p)
        out[:, i * p : (i + 1) * p, j * p : (j + 1) * p] = row.reshape(p, p, -1).transpose(2, 0, 1)
    return out


def test_the_network_is_the_one_described_in_the_paper():
    net, x = network(), fields(SMALL, batch=1)
    weights = {name: tensor.numpy().astype(np.float64) for name, tensor in net.state_dict().items()}
    with torch.no_grad():
        found = net(x, torch.tensor([0.06]))[0].numpy()
    expected = by_hand(weights, x[0].numpy().astype(np.float64), 0.06, SMALL)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_serial_and_parallel_layouts_are_the_same_network():
    parallel, serial = network(), ClimaX(SMALL, "serial").eval()
    weights = parallel.state_dict()
    stacked, biases = weights.pop("token_embeds.proj_weights"), weights.pop("token_embeds.proj_biases")
    for i in range(SMALL.variables):
        weights |= {f"token_embeds.{i}.proj.weight": stacked[i], f"token_embeds.{i}.proj.bias": biases[i]}
    serial.load_state_dict(weights, strict=True)
    x, lead = fields(SMALL), torch.tensor([0.06, 0.24])
    with torch.no_grad():
        assert torch.equal(serial(x, lead), parallel(x, lead))
        assert torch.equal(collapsed.forward(serial, x, lead), collapsed.forward(parallel, x, lead))


SIZES = [
    SMALL,
    replace(SMALL, patch=4, heads=4, depth=1),
    replace(SMALL, patch=1, embed_dim=8, heads=1),
    Architecture(nlat=32, nlon=64, variables=41, outputs=38, patch=2, embed_dim=64, depth=2, heads=16),
]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"D{size.embed_dim}p{size.patch}h{size.heads}")
def test_the_collapsed_path_equals_the_definition(size):
    net, x, lead = network(size), fields(size), torch.tensor([0.06, 0.72])
    with torch.no_grad():
        expected = net(x, lead)
        found = collapsed.forward(net, x, lead)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_the_collapsed_path_with_some_inputs_and_outputs_equals_the_definition():
    net, x = network(), fields(SMALL)
    inputs, outputs = [4, 0, 3], [2, 0]
    with torch.no_grad():
        expected = net(x[:, inputs], torch.full((2,), 0.06), torch.tensor(inputs))[:, outputs]
    found = collapsed.Forward(net, 0.06, inputs, outputs)(x[:, inputs])
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_the_collapsed_path_has_the_gradients_of_the_definition():
    net, x, lead = network(), fields(SMALL), torch.tensor([0.06, 0.06])
    gradients = []
    for forward in (net, lambda x, lead: collapsed.forward(net, x, lead)):
        net.zero_grad()
        forward(x, lead).square().mean().backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in net.named_parameters()})
    for name, expected in gradients[0].items():
        largest = max(float(expected.abs().max()), 1e-3)
        assert (gradients[1][name] - expected).abs().max() <= 2e-5 * largest, name


def test_patches_fold_back_to_the_field():
    x = fields(SMALL)
    cells = patched(x, SMALL)  # (B, L, V, p²)
    assert torch.equal(unpatched(cells.transpose(2, 3).flatten(2), SMALL), x)


def test_fresh_weights_pool_inputs_of_variance_one_to_variance_one_and_follow_the_seed():
    size = Architecture(nlat=32, nlon=64, variables=41, outputs=38, patch=2, embed_dim=64, depth=1, heads=4)
    first, second = ClimaX(size), ClimaX(size)
    for net in (first, second):
        initialise(net, torch.Generator().manual_seed(3))
    with torch.no_grad():
        pooled = first.pooled(first.tokens(fields(size)))
    assert 0.7 < float(pooled.var()) < 1.4
    assert abs(float(pooled.mean())) < 0.1
    assert torch.equal(first.pos_embed[0], positions(size).float())
    for name, parameter in first.state_dict().items():
        assert torch.equal(parameter, second.state_dict()[name]), name


def test_positions_tell_rows_from_columns():
    vectors = positions(SMALL)
    assert len(torch.unique(vectors, dim=0)) == SMALL.tokens
    half, columns = SMALL.embed_dim // 2, SMALL.nlon // SMALL.patch
    assert torch.equal(vectors[0, :half], vectors[columns, :half])  # same column
    assert torch.equal(vectors[0, half:], vectors[1, half:])  # same row


# --- the model behind the protocol ---


def members(where: StateSpace, count: int) -> np.ndarray:
    return np.stack([builders.random_state(where, seed=number).data for number in range(count)])


def model(card, **options) -> climax.ClimaXModel:
    settings = climax.Options(checkpoint="", **options)
    return climax.model_of(made.checkpoint(card), made.small_space(), CPU, "weights", settings)


def stepped(a_model: climax.ClimaXModel, data: np.ndarray) -> np.ndarray:
    return a_model.step(Batch(builders.TIME, data, (None,) * len(data))).data


def by_definition(card, data: np.ndarray, lead: float) -> np.ndarray:
    """The step in NumPy around the plain network."""
    where, checkpoint = made.small_space(), made.checkpoint(card)
    net, names = stepping.build(checkpoint), [channel.name for channel in where.channels]
    turn = slice(None, None, -1 if card.grid.latitude == "descending" else 1)
    known = {name: data[:, i] for i, name in enumerate(names)}
    known |= {name: np.broadcast_to(field, data[:, 0].shape) for name, field in checkpoint.constant_inputs.items()}
    moments = card.normalization
    x = np.stack([(known[n] - moments[n].mean) / moments[n].std for n in card.inputs], axis=1)[:, :, turn]
    variables = torch.tensor([card.network.tokens.index(name) for name in card.inputs])
    with torch.no_grad():
        y = net(torch.tensor(x.copy(), dtype=torch.float32), torch.full((len(data),), lead), variables).numpy()
    y = y[:, [card.network.head.index(name) for name in names]][:, :, turn]
    if card.predicts == "tendency":
        return data + y * np.array([moments[n].tendency_std for n in names])[:, None, None]
    return np.stack([moments[n].mean + moments[n].std * y[:, i] for i, n in enumerate(names)], axis=1)


@pytest.mark.parametrize("predicts", ["tendency", "field"])
@pytest.mark.parametrize("latitude", ["ascending", "descending"])
def test_a_step_is_what_the_card_says(predicts, latitude):
    card, data = made.card(made.small_space(), predicts, latitude), members(made.small_space(), 3)
    expected, scale = by_definition(card, data, lead=0.06), data.std(axis=(0, 2, 3), keepdims=True)
    assert np.abs(expected - data).max(axis=(0, 2, 3)).min() > 0  # every channel moves
    assert (np.abs(stepped(model(card), data) - expected) / scale).max() < 1e-4


def test_the_lead_time_is_told_in_the_scale_of_the_card():
    """Upstream trains with hours / 100; told 6.0 instead of 0.06 the same weights say something else."""
    card, data = made.card(made.small_space()), members(made.small_space(), 2)
    unscaled = made.card(made.small_space(), lead_scale=1.0)
    scale = data.std(axis=(0, 2, 3), keepdims=True)
    right, wrong = stepped(model(card), data), stepped(model(unscaled), data)
    assert (np.abs(wrong - by_definition(card, data, lead=6.0)) / scale).max() < 1e-4
    assert (np.abs(wrong - right) / scale).max() > 0.02 * (np.abs(right - data) / scale).max()


def test_the_time_step_is_the_lead_time():
    a_model = model(made.card(made.small_space(), lead_hours=12.0))
    batch = a_model.step(Batch(builders.TIME, members(made.small_space(), 1), (None,)))
    assert batch.time == builders.TIME + timedelta(hours=12)


@pytest.mark.parametrize("at_once", [1, 4])
def test_a_member_has_the_same_bits_whatever_it_is_batched_with(at_once):
    a_model, data = model(made.card(made.small_space()), at_once=at_once), members(made.small_space(), 5)
    together = stepped(a_model, data)
    for split in ([[0], [1], [2], [3], [4]], [[4, 2], [3, 0, 1]]):
        for numbers in split:
            np.testing.assert_array_equal(stepped(a_model, data[numbers]), together[numbers])


@pytest.mark.parametrize(("count", "at_once"), [(5, 1), (5, 2), (1, 2)])
def test_several_devices_give_the_bits_of_one(count, at_once):
    """Members go round the devices in turn; two lanes on the processor stand for two GPUs."""
    card, data = made.card(made.small_space()), members(made.small_space(), count)
    options = climax.Options(checkpoint="", at_once=at_once)
    several = climax.shared_out(made.checkpoint(card), made.small_space(), [CPU, CPU], "weights", options)
    assert len(several.lanes) == 2
    np.testing.assert_array_equal(stepped(several, data), stepped(model(card, at_once=at_once), data))


def test_a_pass_carries_what_fits_and_never_less_than_one_member():
    size = stepping.architecture(made.card(made.small_space()))
    one = memory.per_member(size)
    room = {0: 1, 0.5 * one: 1, 2.5 * one: 2, 9 * one: 5, 10 * one: 10, 1000 * one: 20}
    assert [memory.fitting(size, free) for free in room] == list(room.values())


def test_a_member_needs_no_more_than_its_estimate():
    """The widest tensors of the pass, measured: what the allocator of a GPU would hold at once."""
    size = Architecture(nlat=16, nlon=32, variables=9, outputs=8, embed_dim=64, depth=2, heads=8)
    net, x = network(size), fields(size, batch=1)
    aggregation = collapsed.aggregation(net, torch.tensor([0.06]))
    with torch.profiler.profile(profile_memory=True) as measured, torch.inference_mode():
        net.decode(net.trunk(aggregation.pooled(x)))
    held = peak = 0
    for event in measured.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    assert 0 < peak <= memory.per_member(size)


def test_a_space_that_the_weights_do_not_know_is_refused():
    card = made.card(made.small_space())
    checkpoint = made.checkpoint(card)
    with pytest.raises(UserError, match=r"does not predict geopotential_925.*surface_pressure.*\[state\]"):
        climax.model_of(checkpoint, builders.space(8, 16), CPU, "weights")
    fewer = StateSpace(made.small_space().grid, made.small_space().channels[:-1])
    with pytest.raises(UserError, match="needs 2m_temperature among the channels"):
        climax.model_of(checkpoint, fewer, CPU, "weights")
    with pytest.raises(UserError, match=r"expected states on the 8 x 16 grid.*got the 4 x 8 grid.*\[grid\]"):
        climax.model_of(checkpoint, builders.space(4, 8), CPU, "weights")


def test_an_unknown_device_is_refused(tmp_path):
    checkpoints.write(tmp_path / "small.safetensors", made.checkpoint(made.card(made.small_space())))
    with pytest.raises(UserError, match="is no device"):
        models.create("climax", {"checkpoint": str(tmp_path / "small.safetensors"), "device": "abacus"},
                      made.small_space())


EXPERIMENT = """
[grid]
nlat = 8
nlon = 16
[state]
levels_hpa = [500, 850]
on_levels = ["geopotential", "temperature"]
at_surface = ["2m_temperature"]
[model]
name = "climax"
batch = 2
options = {{ checkpoint = "{checkpoint}" }}
"""


def test_the_forecast_command_steps_every_member_with_the_weights_of_a_file(experiment, tmp_path):
    where = made.small_space()
    card = made.card(where, about="random")
    checkpoints.write(tmp_path / "small.safetensors", made.checkpoint(card))
    settings = experiment(EXPERIMENT.format(checkpoint=tmp_path / "small.safetensors"))
    data, folder = members(where, 3), settings.experiment.folder
    for path, fields_of_member in zip(folder.at(builders.TIME).analysis.members(3), data, strict=True):
        state.write(path, State(where, fields_of_member, builders.TIME))
    forecast(settings, builders.TIME)
    later = builders.TIME + timedelta(hours=6)
    expected = stepped(climax.model_of(made.checkpoint(card), where, CPU, ""), data)
    for path, member in zip(folder.at(later).background.members(3), expected, strict=True):
        np.testing.assert_array_equal(state.read(path, where, later).data, member)


@pytest.mark.parametrize("command", ["forecast", "serve", "nature", "train", "convert"])
def test_commands_do_not_import_torch_before_they_need_it(command):
    program = (
        "import sys; from model_server import __main__ as m\n"
        f"try: m.main(['{command}', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'jax', 'h5py', 'xarray', 'matplotlib')))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
