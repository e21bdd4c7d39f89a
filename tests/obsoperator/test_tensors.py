"""H(x) in torch is H(x) in NumPy, and its gradient is the adjoint of its derivative."""

import numpy as np
import pytest
import torch

from contracts.variables import Quantity
from obsoperator import Forward, tensors
from tests.obsoperator.case import SPACES, members, space, static, table

CASES = [(name, quantity) for name in SPACES for quantity in Quantity]


def case(name: str, quantity: Quantity | None = None):
    """H of the rows of a quantity, or of all; members (k, channel, column) in double precision."""
    where, observed = space(name), table()
    rows = slice(None) if quantity is None else observed.quantity == quantity
    return Forward.of(observed.select(rows), where, static(where.grid), 300.0), members(where).astype(np.float64)


def derivative(H: Forward, x: np.ndarray, dx: np.ndarray) -> np.ndarray:
    """H'(x) dx (nobs,) by a step along the imaginary axis (Squire & Trapp 1998, SIAM Rev. 40, 110): no difference of
    nearly equal numbers, so exact to rounding.  0 where there is no H(x)."""
    step, found = 1e-30, np.zeros(H.flag.size)
    for part in H.parts:
        z = (x + 1j * step * dx).reshape(-1)
        found[part.rows] = part.formula([z[index] for index in part.entry]).imag / step
    return found


@pytest.mark.parametrize(("name", "quantity"), CASES)
def test_it_is_h_in_numpy(name, quantity):
    H, X = case(name, quantity)
    found = tensors.on(H).apply(torch.tensor(X)).numpy()
    np.testing.assert_allclose(found, H.apply(X), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(("name", "quantity"), CASES)
def test_the_gradient_is_the_adjoint_of_the_derivative(name, quantity):
    """⟨H'(x) dx, dy⟩ = ⟨dx, H'(x)ᵀ dy⟩ for any dx and dy."""
    H, X = case(name, quantity)
    rng = np.random.default_rng(5)
    x, dx = torch.tensor(X[0], requires_grad=True), np.abs(X[0]) * rng.standard_normal(X[0].shape)
    dy = np.where(np.isnan(H.apply(X[0])), 0.0, rng.standard_normal(H.flag.size))
    tensors.on(H).apply(x).backward(torch.tensor(dy))
    terms = derivative(H, X[0], dx) * dy
    assert abs(terms.sum() - np.sum(dx * x.grad.numpy())) <= 1e-12 * np.abs(terms).sum()
    assert np.abs(terms).sum() > 0 or not H.parts


def test_a_row_without_h_takes_no_part_in_any_gradient():
    """Not even where the NaN itself is summed."""
    H, X = case("all")
    x = torch.tensor(X, requires_grad=True)
    hx = tensors.on(H).apply(x)
    assert torch.equal(torch.isnan(hx), torch.tensor(np.isnan(H.apply(X)))) and torch.isnan(hx).any()
    hx.sum().backward()
    assert torch.isfinite(x.grad).all() and x.grad.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_members_bits_do_not_depend_on_those_beside_it(dtype):
    H, X = case("all")
    H, X = tensors.on(H, dtype=dtype), torch.tensor(X, dtype=dtype)
    X = X.repeat(7, 1, 1)[:19]
    together = H.apply(X).nan_to_num()
    assert all(torch.equal(H.apply(x).nan_to_num(), hx) for x, hx in zip(X, together, strict=True))
    assert together.dtype == dtype


def test_states_of_other_precision_and_shape():
    H, X = case("all")
    narrow = torch.tensor(X.astype(np.float32))
    on = tensors.on(H)
    assert np.array_equal(on.apply(narrow).numpy(), on.apply(narrow.double()).numpy(), equal_nan=True)
    assert on.apply(narrow[None]).shape == (1, len(X), H.flag.size) and on.apply(narrow[:0]).shape == (0, H.flag.size)
    half = tensors.on(H, dtype=torch.float32).apply(narrow)
    np.testing.assert_allclose(half.numpy(), H.apply(X), rtol=2e-5, atol=2e-4)


def test_no_rows_are_no_special_case():
    H, X = case("all")
    X = torch.tensor(X, requires_grad=True)
    hx = tensors.on(H.select(slice(0))).apply(X)
    assert hx.shape == (len(X), 0)
    hx.sum().backward()
    assert not X.grad.any()


def test_in_a_calm_the_speed_of_the_wind_has_a_derivative():
    """0, where √ has none: a gradient of NaN would end an analysis."""
    H, X = case("all", Quantity.wind_speed)
    x = torch.zeros(X[0].shape, dtype=torch.float64, requires_grad=True)
    speed = tensors.on(H).apply(x)
    speed[~speed.isnan()].sum().backward()
    assert (speed.nan_to_num() < 1e-9).all() and not x.grad.any()
