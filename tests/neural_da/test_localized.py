"""The members' own covariances, localised, beside those of a latent."""

import numpy as np
import pytest
import torch

from contracts.sphere import great_circle_km, unit_vectors
from letkf_mpi.local import localization
from neural_da.localized import KEPT, Taper, gaspari_cohn, root
from tests.neural_da import made
from tests.neural_da.test_latent_3d_var import BACKGROUND, LATENT, covariance

KM, LN_P = 3000.0, 1.0


def taper() -> Taper:
    return Taper.of(made.SPACE, KM, LN_P, torch.float64)


def test_the_taper_is_that_of_the_letkf():
    r = np.linspace(0, 5, 200)
    np.testing.assert_allclose(gaspari_cohn(r), localization.gaspari_cohn(r), atol=1e-14)


def test_roots_keep_the_variance_and_nearly_the_correlations():
    lat, lon = np.meshgrid(made.SPACE.grid.lat, made.SPACE.grid.lon, indexing="ij")
    at = unit_vectors(lat.ravel(), lon.ravel())
    C = gaspari_cohn(great_circle_km(at[:, None], at[None]) / KM)
    found = root(C)
    np.testing.assert_allclose(np.square(found).sum(axis=1), 1.0, rtol=1e-12)
    assert found.shape[1] < 0.8 * len(C) and np.sqrt(np.mean((found @ found.T - C) ** 2)) < 2 * (1 - KEPT)


def test_beyond_the_taper_the_members_say_nothing():
    """Covariances between places further apart than its end, against those that are near."""
    H = taper().horizontal.numpy()
    lat, lon = np.meshgrid(made.SPACE.grid.lat, made.SPACE.grid.lon, indexing="ij")
    at = unit_vectors(lat.ravel(), lon.ravel())
    apart = great_circle_km(at[:, None], at[None]) > 2 * np.sqrt(10 / 3) * KM
    assert apart.any() and np.abs((H @ H.T)[apart]).max() < 0.03


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_the_covariance_is_that_of_the_formula(share):
    """(1 - w) B of the latent + w rho o P of the members, by unit vectors."""
    X = made.flat(BACKGROUND)
    P, of = np.cov(X.T), taper()
    horizontal, vertical = ((R @ R.T).numpy() for R in (of.horizontal, of.vertical))
    expected = (1 - share) * made.covariance(LATENT, 2.0) + share * P * np.kron(vertical, horizontal)
    found = covariance(ensemble_share=share, localization_km=KM, localization_ln_p=LN_P)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_allclose(found / scale, expected / scale, atol=1e-6)


def test_the_adjoint_is_that_of_the_increment():
    of = made.method(LATENT, ensemble_share=0.4).covariances(made.problem(BACKGROUND)).of()
    rng = np.random.default_rng(2)
    zeta, g = torch.tensor(rng.standard_normal(of.deviation.numel())), torch.tensor(rng.standard_normal(made.SIZE))
    there, back = of.maps.increment(zeta, of.deviation) @ g, zeta @ of.maps.adjoint(g, of.deviation)
    assert float(there) == pytest.approx(float(back), rel=1e-12)


def test_left_out_a_member_is_not_among_those_whose_covariances_it_takes():
    own = made.method(LATENT, ensemble_share=0.5, leave_one_out=True).covariances(made.problem(BACKGROUND)).of(2)
    others = made.problem(np.delete(BACKGROUND, 2, axis=0))
    expected = made.method(LATENT, ensemble_share=0.5).covariances(others).of()
    assert torch.equal(own.maps.departures, expected.maps.departures)


def test_the_deviation_that_is_written_is_that_of_both_parts():
    term = made.term(made.table())
    method = made.method(LATENT, ensemble_share=0.5, write_deviation=True)
    found = method.analyse(made.problem(BACKGROUND, term, members=[0]), made.draws(6)).fields["background_deviation"]
    assert np.allclose(found.ravel(), np.sqrt(np.diag(covariance(ensemble_share=0.5))), rtol=1e-5)
