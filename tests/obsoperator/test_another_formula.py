"""What a new observed quantity takes: entries, a formula, and its test against an analytic field."""

from dataclasses import dataclass

import numpy as np
import torch

from contracts.variables import Flag
from obsoperator import Forward, tensors
from obsoperator.interpolation import Weighted, bracket, on_levels
from obsoperator.part import Formula, Part
from tests.obsoperator.case import space

WHERE = space()


@dataclass(frozen=True)
class KineticEnergy(Formula):
    """(u² + v²) / 2, both interpolated first: `u` and `v` (m, n) are their weights."""

    u: np.ndarray
    v: np.ndarray

    def __call__(self, x):
        m = len(self.u)
        return 0.5 * (Weighted(self.u)(x[:m]) ** 2 + Weighted(self.v)(x[m:]) ** 2)


def kinetic_energy(lat, lon, pressure) -> Forward:
    stencil = WHERE.grid.bilinear(lat, lon)
    (u_entry, u), (v_entry, v) = (on_levels(WHERE, name, stencil, bracket(WHERE.levels(name), pressure))
                                  for name in ("u_component_of_wind", "v_component_of_wind"))
    flag = np.full(lat.size, Flag.passed, np.int8)
    part = Part(np.arange(lat.size), flag, np.concatenate([u_entry, v_entry]), KineticEnergy(u.weight, v.weight))
    return Forward(WHERE.grid.size, flag, (part,))


def test_a_formula_of_ones_own_serves_numpy_and_torch():
    """Wind that is linear in latitude and in ln p."""
    rng = np.random.default_rng(0)
    lat, pressure = rng.uniform(-70, 70, 50), rng.uniform(3e4, 9e4, 50)
    H, x = kinetic_energy(lat, rng.uniform(0, 360, 50), pressure), np.zeros((len(WHERE.channels), WHERE.grid.size))
    for name, factor in (("u_component_of_wind", 0.1), ("v_component_of_wind", -0.3)):
        x[WHERE.index(name)] = factor * WHERE.grid.column_lat + np.log(WHERE.levels(name))[:, None]
    u, v = (factor * lat + np.log(pressure) for factor in (0.1, -0.3))
    energy = 0.5 * (u**2 + v**2)
    np.testing.assert_allclose(H.apply(x), energy, rtol=1e-12)

    along = torch.tensor(x, requires_grad=True)
    found = tensors.on(H).apply(along)
    np.testing.assert_allclose(found.detach().numpy(), energy, rtol=1e-12)
    found.sum().backward()
    gradient = along.grad.numpy()[WHERE.index("u_component_of_wind")]
    np.testing.assert_allclose(gradient.sum(), np.sum(u), rtol=1e-12)  # the weights of a row add to 1
    assert {WHERE.channels[number].variable for number in H.needs} == {"u_component_of_wind", "v_component_of_wind"}
