"""The linear latent: its patches, its maps and their adjoints, and what it makes of errors."""

from math import prod

import numpy as np
import pytest
import torch

from contracts.grid import Grid
from contracts.state import StateSpace
from networks.latent import eof, patches
from networks.latent.operator import Operator
from tests import builders

PATCH = (2, 4)
SPACE = builders.space()
N = PATCH[0] * PATCH[1] * len(SPACE.channels)
RNG = np.random.default_rng(3)
SCALE = RNG.uniform(0.5, 2.0, len(SPACE.channels))
MEAN = RNG.standard_normal(SPACE.shape)


SHIFTS = pytest.mark.parametrize("shift", patches.shifts(PATCH, True))
BOTH = pytest.mark.parametrize("overlap", [False, True])


def errors(count: int = 40, where: StateSpace = SPACE) -> np.ndarray:
    """Smooth along the globe and of the channels' own sizes, so that patches have something in common."""
    white = np.random.default_rng(7).standard_normal((count, *where.shape))
    return (white + np.roll(white, 1, -1) + np.roll(white, 1, -2)) * SCALE[:, None, None]


def fitted(modes: int = N, of=None, overlap: bool = False) -> eof.Eof:
    moments = eof.Moments.of(errors() if of is None else of, SPACE, PATCH, SCALE, overlap)
    return eof.fit(moments, SPACE, PATCH, SCALE, MEAN, modes, overlap)


def operator(latent: eof.Eof) -> Operator:
    return Operator.of(latent, dtype=torch.float64)


def state(seed: int = 0) -> torch.Tensor:
    """(channel, column)"""
    return torch.tensor(np.random.default_rng(seed).standard_normal((len(SPACE.channels), SPACE.grid.size)))


def latent_vector(of: Operator, seed: int = 1) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).standard_normal(of.size))


@SHIFTS
def test_every_number_of_a_state_lies_in_exactly_one_patch(shift):
    entries = np.concatenate([band.entry.ravel() for band in patches.cut(SPACE, PATCH, shift)])
    assert np.array_equal(np.sort(entries), np.arange(np.prod(SPACE.shape)))


@SHIFTS
def test_patches_of_the_southern_half_are_those_of_the_northern_one_of_the_mirrored_state(shift):
    field = RNG.standard_normal(SPACE.shape)
    mirror = patches.mirrored(field, SPACE)
    for band in patches.cut(SPACE, PATCH, shift):
        f, g = (x.ravel()[band.entry] * band.sign[:, None] for x in (field, mirror))
        if len(band.entry) == 2:
            assert np.array_equal(f[0], g[1]) and np.array_equal(f[1], g[0])
        else:
            assert np.array_equal(f[..., band.turned] * band.turned_sign, g)


def test_shifted_patches_lie_astride_the_equator_and_half_patches_at_the_poles():
    """Of 8 rows, in patches of 2 rows and 4 columns."""
    row, column = np.indices(SPACE.shape)[1:].reshape(2, -1)
    astride, whole, *_, polar = patches.cut(SPACE, PATCH, (1, 2))
    assert [len(band.entry) for band in (astride, whole, polar)] == [1, 2, 2] and 2 * polar.n == whole.n == astride.n
    assert set(row[astride.entry].ravel()) == {3, 4}
    assert set(row[polar.entry[0]].ravel()) == {0} and set(row[polar.entry[1]].ravel()) == {7}
    assert set(column[astride.entry[0, 0]]) == {2, 3, 4, 5} and set(column[polar.entry[0, -1]]) == {14, 15, 0, 1}


@pytest.mark.parametrize("patch", [(1, 4), (2, 1)])
def test_a_patch_that_cannot_be_halved_is_refused_in_words(patch):
    with pytest.raises(ValueError, match=f"both even, got patches of {patch[0]} rows and {patch[1]} columns"):
        patches.shifts(patch, True)


def test_the_mirror_turns_northward_wind_and_nothing_else():
    turned = [channel.variable for channel, sign in zip(SPACE.channels, patches.mirror_sign(SPACE), strict=True)
              if sign < 0]
    assert set(turned) == {"v_component_of_wind", "10m_v_component_of_wind"}


@pytest.mark.parametrize(("grid", "words"), [
    (Grid.regular(6, 16), ["patches of 2 rows", "got 3 and 16"]),
    (Grid.regular(9, 16, poles=True), ["do not divide", "got 4.5"]),
    (Grid.regular(8, 14), ["4 columns", "got 4 and 14"]),
    (Grid(np.linspace(-80, 85, 8), np.arange(16) * 22.5), ["not the same on both sides of the equator"]),
])
def test_a_grid_that_patches_do_not_divide_is_refused_in_words(grid, words):
    with pytest.raises(ValueError) as refused:
        patches.cut(StateSpace(grid, SPACE.channels), PATCH)
    assert all(word in str(refused.value) for word in words)


@BOTH
@pytest.mark.parametrize("modes", [5, N])
def test_projection_is_the_adjoint_of_what_puts_patches_back(modes, overlap):
    """Of S grids up to the S^(-1/2) that D has."""
    maps = operator(fitted(modes, overlap=overlap))
    x, z = state().flatten(), latent_vector(maps)
    assert torch.isclose(maps.spread(z) @ x * len(maps.grids) ** 0.5, z @ maps.project(x), rtol=1e-12)


@BOTH
def test_the_adjoint_of_the_increment_is_its_transpose_and_what_autograd_says(overlap):
    maps = operator(fitted(7, overlap=overlap))
    g, zeta, deviation = state().flatten(), latent_vector(maps).requires_grad_(), maps.variance.sqrt()
    product = maps.increment(zeta, deviation) @ g
    product.backward()
    assert torch.allclose(zeta.grad, maps.adjoint(g, deviation), rtol=1e-12, atol=1e-13)
    assert torch.isclose(product, zeta @ maps.adjoint(g, deviation), rtol=1e-12)


@BOTH
def test_the_reconstruction_of_an_encoding_with_all_modes_is_the_identity(overlap):
    maps, x = operator(fitted(overlap=overlap)), state()
    assert torch.allclose(maps.reconstruct(maps.encode(x), len(x)), x, rtol=0, atol=1e-11)


def test_fewer_modes_lose_what_a_projection_loses_and_no_more():
    maps, xi = operator(fitted(9)), state().flatten()
    left = maps.spread(maps.project(xi))
    assert torch.allclose(maps.spread(maps.project(left)), left, atol=1e-12)
    assert torch.isclose(xi @ xi, left @ left + (xi - left) @ (xi - left), rtol=1e-12) and left @ left < xi @ xi


def test_four_grids_lose_less_than_one():
    x, lost = state(), {}
    for overlap in (False, True):
        maps = operator(fitted(9, overlap=overlap))
        lost[overlap] = float((maps.reconstruct(maps.encode(x), len(x)) - x).norm())
    assert 0 < lost[True] < lost[False]


def test_each_of_four_grids_is_fitted_as_if_it_were_the_only_one():
    """That without a shift is the latent of one grid; one shifted in longitude that of errors shifted the other way."""
    four, one, shifted = fitted(6, overlap=True), fitted(6), fitted(6, np.roll(errors(), -2, -1))
    bands = len(one.basis)
    for expected, first in ((one, 0), (shifted, bands)):
        for name in ("basis", "variance"):
            found = getattr(four, name)[first : first + bands]
            assert all(np.allclose(a, b) for a, b in zip(found, getattr(expected, name), strict=True))


def test_functions_astride_the_equator_are_their_own_mirror_images_up_to_the_sign():
    latent = fitted(6, overlap=True)
    for band, P in zip(latent.bands(), latent.basis, strict=True):
        if band.turned is not None:
            image = P[:, band.turned] * band.turned_sign
            assert np.allclose(np.abs((P * image).sum(axis=1)), 1.0)


def test_a_patch_at_a_pole_has_modes_in_proportion_to_its_rows():
    latent = fitted(6, overlap=True)
    assert {(band.n, P.shape[0]) for band, P in zip(latent.bands(), latent.basis, strict=True)} == {(N, 6), (N // 2, 3)}


def test_smoothed_variances_are_half_their_own_and_half_those_around_them():
    """In units of b_clim: of a spike each patch around it has 1/18, and itself 1/2 + 1/18; at a pole 1/12."""
    maps = operator(fitted(6, overlap=True))
    assert torch.allclose(maps.smoothed(maps.variance), maps.variance)
    grid = maps.grids[-1]
    for number in (0, 1, 2, 4):
        rows = [torch.zeros_like(row) for row in grid.rows(torch.zeros(grid.size, dtype=torch.float64))]
        rows[number][0, 1] = 1.0
        before = len(maps.variance) - grid.size
        spike = torch.cat([torch.zeros(before, dtype=torch.float64), grid.of_rows(rows)]) * maps.variance
        found = maps.smoothed(torch.stack([spike, 2 * spike])) / maps.variance
        assert torch.allclose(found[1], 2 * found[0]) and not found[0, :before].any()
        around = grid.rows(found[0, before:])
        for other in range(len(rows)):
            share = 1 / (6 * (2 if other in (0, len(rows) - 1) else 3)) if abs(other - number) <= 1 else 0.0
            expected = torch.zeros_like(around[other])
            expected[[-1, 0, 1], 1] = share
            if other == number:
                expected[0, 1] += 0.5
            assert torch.allclose(around[other], expected)


def test_basis_and_variance_are_those_of_a_singular_value_decomposition():
    sample, latent = errors(), fitted(6)
    for band, P, variance in zip(latent.bands(), latent.basis, latent.variance, strict=True):
        f = (sample / SCALE[:, None, None]).reshape(len(sample), -1)[:, band.entry] * band.sign[:, None]
        singular, rows = np.linalg.svd(f.reshape(-1, band.n), full_matrices=False)[1:]
        assert np.allclose(np.abs(np.einsum("kn,kn->k", P, rows[:6])), 1.0)
        assert np.allclose(variance.mean(axis=0), singular[:6] ** 2 / (f.size / band.n))
        assert np.allclose(variance, np.square(f @ P.T).mean(axis=(0, 2)))


@BOTH
def test_errors_in_the_mirror_give_the_same_basis_and_exchange_the_halves(overlap):
    latent, mirror = (fitted(6, of, overlap) for of in (errors(), patches.mirrored(errors(), SPACE)))
    assert all(np.allclose(a, b, atol=1e-9) for a, b in zip(latent.basis, mirror.basis, strict=True))
    assert all(np.allclose(a, b[::-1]) for a, b in zip(latent.variance, mirror.variance, strict=True))


def test_a_shift_by_a_patch_shifts_the_patches():
    maps, x = operator(fitted(6)), state().reshape(SPACE.shape)
    here, there = (in_bands(maps, maps.project(fields.flatten())) for fields in (x, x.roll(PATCH[1], -1)))
    assert all(torch.equal(a.roll(1, 1), b) for a, b in zip(here, there, strict=True))


def in_bands(maps: Operator, z: torch.Tensor) -> list[torch.Tensor]:
    """A latent vector as one (half, patch, k) for each band."""
    shapes = maps.grids[0].shapes
    return [part.unflatten(0, shape) for part, shape in zip(z.split(list(map(prod, shapes))), shapes, strict=True)]


def test_states_side_by_side_are_mapped_as_one_by_one():
    maps = operator(fitted(6))
    x = torch.stack([state(seed) for seed in range(3)])
    assert torch.allclose(maps.encode(x), torch.stack([maps.encode(one) for one in x]), atol=1e-13)


@pytest.mark.parametrize(("modes", "count", "words"), [
    (N + 1, 40, f"a patch has {N} numbers"), (N, 1, "fewer directions")])
def test_more_modes_than_there_can_be_are_refused(modes, count, words):
    with pytest.raises(ValueError, match=words):
        fitted(modes, errors(count))
