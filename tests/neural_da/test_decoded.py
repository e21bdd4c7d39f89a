"""3D-Var through an autoencoder: before it has learned that of its linear latent, and a minimum once it has."""

import numpy as np
import pytest
import torch

from contracts.variables import Quantity
from networks.autoencoder.network import PLANES, Autoencoder
from networks.latent.operator import Operator
from neural_da import latent_3d_var
from neural_da.decoded import Decoder
from neural_da.methods import Latent3DVar
from tests.networks import climax_builders
from tests.neural_da import made
from tests.neural_da.test_three_d_var import ROUNDING, in_scales

OVERLAP = made.latent(overlap=True)
BACKGROUND = made.ensemble(3)


def network(random: bool) -> Autoencoder:
    """In double precision; with `random` weights its corrections give something."""
    linear = Operator.of(OVERLAP, dtype=torch.float64)
    found = Autoencoder(made.SPACE, 6, 2, linear, np.zeros((PLANES, *made.SPACE.grid.shape)))
    if random:
        climax_builders.randomise(found, size=0.1)
    return found.double().requires_grad_(False)


def method(random: bool, **settings) -> latent_3d_var.Prepared:
    exact = dict(precision="float64", tolerance=1e-10, iterations=1000, latent="none", autoencoder="none")
    return latent_3d_var.about(Latent3DVar(**exact | settings), network(random))


@pytest.mark.parametrize("ensemble", ["perturbed", "recentred", "posterior"])
@pytest.mark.parametrize("form", ["increment", "decode"])
def test_before_it_has_learned_it_is_the_linear_latent(ensemble, form):
    problem, draws = made.problem(BACKGROUND, made.term(made.table())), made.draws(3)
    linear = made.method(OVERLAP, ensemble=ensemble, form=form, alpha=0.3).analyse(problem, draws).members
    found = method(False, ensemble=ensemble, form=form, alpha=0.3).analyse(problem, draws).members
    assert in_scales(made.flat(found - linear)).max() < ROUNDING


def test_the_tangent_is_the_derivative_of_the_increment_and_has_its_adjoint():
    of, rng = network(True), np.random.default_rng(4)
    zeta, v = torch.tensor(rng.standard_normal((2, of.size)))
    deviation, decoder = of.variance.sqrt(), Decoder(of, of.encode(torch.tensor(BACKGROUND[0], dtype=torch.float64)))
    tangent = decoder.tangent(zeta, deviation)
    h = 1e-4
    slope = (decoder.increment(zeta + h * v, deviation) - decoder.increment(zeta - h * v, deviation)) / (2 * h)
    assert torch.allclose(tangent.increment(v, deviation), slope, rtol=1e-5, atol=1e-6 * float(slope.abs().max()))
    g = torch.tensor(rng.standard_normal(int(made.SIZE)))
    there, back = tangent.increment(v, deviation) @ g, v @ tangent.adjoint(g, deviation)
    assert float(there) == pytest.approx(float(back), rel=1e-9)


def test_gauss_newton_steps_lead_to_where_the_gradient_is_zero():
    """J by autograd through the decoder, which no step uses."""
    term = made.term(made.table(40, (Quantity.temperature, Quantity.surface_pressure)))
    of = method(True, steps=5)
    variational = of.variational(made.problem(BACKGROUND, term), of.covariances(made.problem(BACKGROUND)).of(),
                                 BACKGROUND[0], [term.value.numpy()])

    def slope(zeta):
        zeta = zeta.clone().requires_grad_()
        return float(torch.autograd.grad(variational.cost(zeta), zeta)[0].norm())

    found = variational.minimum(of.stops)
    assert found.course[-1] < 0.5 * found.course[0]
    assert slope(found.zeta) < 0.01 * slope(torch.zeros_like(found.zeta))


def test_increments_depend_on_the_state_and_those_of_the_linear_latent_do_not():
    of = network(True)
    zeta = torch.tensor(np.random.default_rng(5).standard_normal(of.size))
    a, b = (Decoder(of, of.encode(torch.tensor(x, dtype=torch.float64))).increment(zeta, of.variance.sqrt())
            for x in BACKGROUND[:2])
    assert float((a - b).abs().max()) > 1e-3 * float(a.abs().max())


def test_a_member_has_the_same_bits_whatever_it_is_analysed_with():
    term = made.term(made.table(40))
    of = method(True, steps=2, tolerance=0.01)
    whole = of.analyse(made.problem(BACKGROUND, term), made.draws(3)).members
    alone = of.analyse(made.problem(BACKGROUND, term, members=[2]), made.draws(3)).members
    assert np.array_equal(alone[0], whole[2])
