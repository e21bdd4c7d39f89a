"""Attention within windows: against its definition with masks, and what a window lets through."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from contracts.errors import UserError
from networks import checkpoint as checkpoints
from networks import kinds
from networks.checkpoint import Checkpoint
from networks.climax import collapsed, emulator, windows
from networks.climax.network import Architecture, Attention, Block, ClimaX
from networks.onnx import export, graph
from networks.onnx.graph import Graph
from tests import builders
from tests.networks import climax_builders as made

SIZE = Architecture(nlat=16, nlon=24, variables=3, outputs=2, patch=2, embed_dim=16, depth=2, heads=2, window=(4, 6))
ROWS, COLUMNS = SIZE.patches  # 8 x 12
WINDOWS = [(4, 6), (2, 4), (8, 4), (2, 12), (8, 12)]
SPACE = made.small_space()  # 4 x 8 patches


def random(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def part(kind, size: Architecture, *arguments):
    """A part of the network, or all of it, with random weights in float64."""
    module = kind(size, *arguments)
    made.randomise(module, 2)
    return module.double().eval()


def is_together(one: tuple[int, int], other: tuple[int, int], window: tuple[int, int], shifted: bool) -> bool:
    """Whether two patches (row, column) see each other, from the words of `windows`."""
    h, w = window
    edge = h // 2 if shifted and h < ROWS else 0
    caps = [{row for row in range(ROWS) if row < edge}, {row for row in range(ROWS) if row >= ROWS - edge}]
    if any(one[0] in cap for cap in caps) or any(other[0] in cap for cap in caps):
        return any(one[0] in cap and other[0] in cap for cap in caps)
    along = w // 2 if shifted and w < COLUMNS else 0
    turned = [(column + COLUMNS - along) % COLUMNS for column in (one[1], other[1])]
    return (one[0] - edge) // h == (other[0] - edge) // h and turned[0] // w == turned[1] // w


def seen_from(window: tuple[int, int], shifted: bool) -> np.ndarray:
    """(L, L) which place sees which."""
    places = [(row, column) for row in range(ROWS) for column in range(COLUMNS)]
    return np.array([[is_together(one, other, window, shifted) for other in places] for one in places])


def by_definition(attention: Attention, x: torch.Tensor, seen: np.ndarray) -> torch.Tensor:
    """softmax(q kᵀ/√d) v, place by place and head by head, with what is not seen masked."""
    q, k, v = attention.qkv(x).chunk(3, dim=-1)
    width, mixed = x.shape[-1] // SIZE.heads, torch.empty_like(x)
    for here in range(x.shape[1]):
        masked = torch.from_numpy(np.where(seen[here], 0.0, -np.inf))
        for head in range(SIZE.heads):
            own = slice(head * width, (head + 1) * width)
            scores = (k[..., own] @ q[:, here, own, None])[..., 0] / width**0.5  # (B, L)
            mixed[:, here, own] = ((scores + masked).softmax(dim=-1)[:, None] @ v[..., own])[:, 0]
    return attention.proj(mixed)


@pytest.mark.parametrize("shifted", [False, True], ids=["first", "shifted"])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@torch.no_grad()
def test_it_is_attention_with_masks(window, shifted):
    attention, x = part(Attention, replace(SIZE, window=window), shifted), random(2, SIZE.tokens, SIZE.embed_dim)
    expected = by_definition(attention, x, seen_from(window, shifted))
    torch.testing.assert_close(attention(x), expected, rtol=1e-12, atol=1e-12)


def test_the_picture_of_the_docstring_is_what_is_done():
    lines = [re.findall(r"\b\d\b", line) for line in windows.__doc__.splitlines()]
    shown = np.array([line for line in lines if len(line) == 16], int)  # north above
    for shifted, picture in ((False, shown[:, :8]), (True, shown[:, 8:])):
        np.testing.assert_array_equal(windows.numbers((4, 8), (2, 4), shifted)[::-1], picture)


@torch.no_grad()
def test_a_window_as_large_as_the_grid_is_attention_to_all():
    whole = part(ClimaX, replace(SIZE, window=(ROWS, COLUMNS)))
    everywhere, x, lead = part(ClimaX, replace(SIZE, window=None)), random(2, 3, 16, 24), torch.tensor([0.06]).double()
    assert whole.state_dict().keys() == everywhere.state_dict().keys()
    torch.testing.assert_close(whole(x, lead.expand(2)), everywhere(x, lead.expand(2)), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(collapsed.forward(whole, x, lead), everywhere(x, lead.expand(2)), rtol=1e-9, atol=1e-9)


@torch.no_grad()
def reached(blocks: list[Block], place: int) -> np.ndarray:
    """(L,) which places another vector at `place` changes."""
    x = random(1, SIZE.tokens, SIZE.embed_dim)
    other = x.clone()
    other[0, place] = random(SIZE.embed_dim, seed=9)
    for block in blocks:
        x, other = block(x), block(other)
    return (x != other).any(dim=-1)[0].numpy()


@pytest.mark.parametrize("place", [(0, 0), (1, 11), (3, 5), (4, 6), (7, 3)], ids=str)
def test_what_changes_at_a_place_goes_as_far_as_its_window_and_with_the_next_block_further(place):
    blocks, number = [part(Block, SIZE, shifted) for shifted in (False, True)], place[0] * COLUMNS + place[1]
    first, then = seen_from(SIZE.window, False), seen_from(SIZE.window, True)
    np.testing.assert_array_equal(reached(blocks[:1], number), first[number])
    np.testing.assert_array_equal(reached(blocks, number), then[first[number]].any(axis=0))
    assert first[number].sum() == 24 < then[first[number]].any(axis=0).sum()


def test_four_blocks_see_the_whole_of_this_grid_and_nothing_goes_over_a_pole_at_once():
    blocks = [part(Block, SIZE, number % 2 == 1) for number in range(4)]
    assert reached(blocks, 0).all()
    assert not reached(blocks[:2], 0).reshape(ROWS, COLUMNS)[-2:].any()  # the rows around the other pole


@torch.no_grad()
def test_it_turns_with_the_globe_by_a_window_and_by_no_less():
    network, x = part(ClimaX, SIZE), random(1, *SIZE.patches, SIZE.embed_dim)

    def trunk(fields: torch.Tensor) -> torch.Tensor:
        return network.trunk(fields.flatten(1, 2)).unflatten(1, SIZE.patches)

    for columns, same in ((6, True), (-12, True), (3, False), (1, False)):
        error = (trunk(x.roll(columns, 2)) - trunk(x).roll(columns, 2)).abs().max()
        assert (error < 1e-12) == same, columns


def test_gradients_reach_a_place_from_its_window_alone():
    attention, x = part(Attention, SIZE, True), random(1, SIZE.tokens, SIZE.embed_dim).requires_grad_()
    attention(x)[0, 30].sum().backward()
    np.testing.assert_array_equal((x.grad[0] != 0).any(dim=-1).numpy(), seen_from(SIZE.window, True)[30])


@torch.no_grad()
def test_bfloat16_multiplies_the_same():
    attention, x = part(Attention, SIZE, True).float(), random(1, SIZE.tokens, SIZE.embed_dim).float()
    with torch.autocast("cpu", torch.bfloat16):
        found = attention(x).float()
    torch.testing.assert_close(found, attention(x), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("window", [(3, 6), (4, 5), (4, 4, 4), (16, 12), (8, 3), (0, 6)], ids=str)
def test_windows_that_do_not_tile_the_grid_are_refused(window):
    with pytest.raises((ValueError, UserError), match="window"):
        sizes = kinds.settings({"window": list(window)})
        replace(SIZE, window=sizes.window)


def strong(window: tuple[int, int] | None) -> Checkpoint:
    """Random weights, the same with any window, so large that it matters which patches attend to each other."""
    found = made.checkpoint(made.card(SPACE, window=window))
    return replace(found, weights={name: 4 * array for name, array in found.weights.items()})


@torch.no_grad()
def changes(emulate: emulator.ClimaXEmulator | Graph, fields: np.ndarray) -> np.ndarray:
    """(B, channel, lat, lon) by a step, each channel in units of its tendency's scale."""
    later = (emulate(fields) if isinstance(emulate, Graph)
             else emulate.advance((torch.from_numpy(fields),), 0)[0].numpy())
    scale = [[[made.card(SPACE).normalization[channel.name].tendency_std]] for channel in SPACE.channels]
    return (later - fields) / np.array(scale)


@pytest.fixture(scope="module")
def fields() -> np.ndarray:
    return np.stack([builders.random_state(SPACE, seed=seed).data for seed in range(3)])


def test_weights_keep_their_windows_and_forecast_with_them(tmp_path: Path, fields):
    path, names = tmp_path / "windowed.safetensors", [channel.name for channel in SPACE.channels]
    checkpoints.write(path, strong((2, 4)), "float32")
    found = emulator.load(path)
    assert found.card.network.window == (2, 4)
    steps = emulator.ClimaXEmulator.of(found, names)
    trained = changes(steps, fields)
    np.testing.assert_allclose(changes(steps.settled(), fields), trained, rtol=0, atol=0.01 * trained.std())
    everywhere = changes(emulator.ClimaXEmulator.of(strong(None), names), fields)
    assert (everywhere - trained).std() > 0.1 * trained.std()


def test_onnx_runtime_forecasts_the_same(fields):
    pytest.importorskip("onnxruntime")
    steps = emulator.emulator(strong((2, 4)), SPACE, "it")
    made_graph = graph.of_ours(export.graph_of(export.Step(steps)), export.card_of(steps.stepping.card, steps.channels))
    expected = changes(steps, fields)
    np.testing.assert_allclose(changes(made_graph, fields), expected, rtol=0, atol=0.01 * expected.std())
