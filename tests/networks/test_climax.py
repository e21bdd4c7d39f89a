"""ClimaX: the network against its definition, the collapsed path against the network."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from networks.climax import collapsed
from networks.climax.network import Architecture, ClimaX, initialise, patched, positions, unpatched
from tests.networks import climax_builders as made

UPSTREAM = Architecture(nlat=32, nlon=64, variables=48, outputs=48)  # the official 5.625 degree file
SMALL = Architecture(nlat=8, nlon=16, variables=5, outputs=3, patch=2, embed_dim=24, depth=2, heads=3)


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
    assert sum(parameter.numel() for parameter in network.parameters()) == 108_088_512


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
    found = collapsed.Settled(net, 0.06, inputs, outputs)(x[:, inputs])
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
