"""Corrected optimal interpolation: untrained it is `climatology`; what the network is told; the same bits in parts."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from contracts.errors import UserError
from networks import checkpoint as checkpoints
from networks import planes
from networks.card import Card, GridCard
from networks.checkpoint import Checkpoint
from networks.normalization import CONSTANTS, LAND_SEA_MASK, OROGRAPHY, Moments
from networks.o2a import network
from networks.o2a.card import O2ACard
from networks.o2a.network import Corrector
from networks.o2a.optimal import Optimal, seen_covariance
from networks.o2l import gridding
from neural_da import analysis, climatology
from neural_da.methods import O2A, Climatology
from neural_da.o2a import About, Prepared
from tests.builders import CLIMATE, TIME
from tests.letkf_mpi.case import contents
from tests.networks.climax_builders import randomise
from tests.neural_da import made, test_climatology_program
from tests.neural_da.case import NOW

BACKGROUND = made.ensemble()
TERM = made.term(made.table(40))
COUNT = 5  # draws that tell the deviation
NEURAL = """
[neural]
method = "o2a"
prior = "climates/small.nc"
weights = "o2a/small.safetensors"
"""


def card_of(prior_sha256: str = "") -> Card:
    names = tuple(channel.name for channel in made.SPACE.channels)
    moments = {channel.name: Moments(mean=CLIMATE[channel.variable][0], std=CLIMATE[channel.variable][1])
               for channel in made.SPACE.channels} | {name: Moments(mean=0.0, std=1.0) for name in CONSTANTS}
    own = O2ACard(widths=(4, 6), blocks=1, prior_sha256=prior_sha256, draws=COUNT, footprints="made", dropped=0.6)
    nlat, nlon = made.SPACE.grid.shape
    return Card(name="small", network=own, grid=GridCard(nlat=nlat, nlon=nlon), inputs=(*names, *CONSTANTS),
                outputs=names, normalization=moments)


def corrector(trained: bool = True) -> Corrector:
    card, flat = card_of(), np.zeros(made.SPACE.grid.shape)
    torch.manual_seed(0)
    of = Corrector(network.shape_of(card), made.SPACE.grid, planes.of(card, {OROGRAPHY: flat, LAND_SEA_MASK: flat}))
    if trained:
        randomise(of, size=0.1)
    return of.eval().requires_grad_(False)


def method(trained: bool = True, **settings) -> Prepared:
    exact = dict(tolerance=1e-12, iterations=2000, precision="float64") | settings
    climate = test_climatology_program.prior().astype(np.dtype(exact["precision"]).type)
    return Prepared(O2A(**exact), climate, corrector(trained), COUNT)


def problem(members=None, term=TERM):
    return made.problem(BACKGROUND, *([term] if term else []), members=members)


DRAWS = made.draws(len(BACKGROUND))


def test_untrained_it_is_climatology_to_the_bit_and_without_observations_too():
    for term in (TERM, None):
        of = method(trained=False, precision="float32", tolerance=0.02)
        alone = climatology.Prepared(Climatology(tolerance=0.02), of.prior)
        np.testing.assert_array_equal(of.analyse(problem(term=term), DRAWS).members,
                                      alone.analyse(problem(term=term), DRAWS).members)


def test_the_network_is_told_what_it_is_told_in_training():
    """Analysis, deviation and departures by factorisation, as analyses to learn from are made."""
    of = method()
    prior, shape = of.prior, made.SPACE.shape
    about = About.climate(prior, problem())
    A = gridding.in_scales(TERM.tangent(torch.tensor(prior.mean(TIME)).flatten(1), torch.float64).matrix(),
                           prior.scale.ravel())
    optimal = Optimal.of(prior.correlation, shape, A, seen_covariance(prior.correlation, A))
    d = (TERM.value - TERM.forward.apply(torch.tensor(prior.mean(TIME)).flatten(1))) / TERM.variance.sqrt()
    z = optimal.analyses(d.numpy()[None])
    given = of.given(problem(), about, DRAWS)
    np.testing.assert_allclose(given.analysis, z, atol=1e-5)
    left = gridding.gridded(A, d.numpy() - A @ z.ravel())
    np.testing.assert_allclose(given.left[0].flatten(1), left, atol=1e-4 * np.abs(left).max())
    states = np.concatenate([given.deviation for given in
                             (replace(of, count=100).given(problem(), about, made.draws(4, seed)) for seed in (1, 2))])
    C = prior.correlation.apply(lambda values: values, np.eye(z.size).reshape(-1, *shape)).reshape(z.size, -1)
    H = A.toarray()
    P = np.diag(C - C @ H.T @ np.linalg.solve(H @ C @ H.T + np.eye(len(H)), H @ C)).mean()
    assert np.square(states).mean() == pytest.approx(P, rel=0.05)


def test_what_the_network_says_is_added_to_every_member_alike():
    of = method()
    found = of.analyse(problem(), DRAWS).members
    change = found - of.alone.analyse(problem(), DRAWS).members
    expected = of.correction(problem(), About.climate(of.prior, problem()), DRAWS).reshape(change.shape[1:])
    assert np.abs(expected).max() > 0.01
    scale = np.repeat(made.SCALE, made.SPACE.grid.size).reshape(change.shape[1:])
    for one in change:
        np.testing.assert_allclose(one / scale, expected / scale, atol=5e-4)


@pytest.mark.parametrize("background", ["climate", "ensemble"])
def test_a_member_has_the_same_bits_whichever_are_analysed_beside_it(background):
    production = dict(tolerance=0.02, precision="float32", background=background)
    whole = method(**production).analyse(problem(), DRAWS)
    for members, threads in (([3], 1), ([2, 0], 2), ([], 1)):
        some = method(threads=threads, **production).analyse(problem(members), DRAWS)
        np.testing.assert_array_equal(some.members, whole.members[np.array(members, int)])
        assert some.carried == whole.carried


def test_about_the_members_their_mean_is_the_kalman_analysis_with_the_climate_as_large_as_innovations_say():
    of = method(trained=False, background="ensemble")
    found = of.analyse(problem(), DRAWS)
    alpha_squared = found.carried["alpha_squared"]
    mean, H = made.flat(BACKGROUND).mean(axis=0), made.matrix(TERM)
    size, R = mean.size, np.diag(TERM.variance.numpy())
    B = alpha_squared * of.prior.covariance(np.eye(size).reshape(size, *made.SPACE.shape)).reshape(size, size)
    d = TERM.value.numpy() - TERM.forward.apply(torch.tensor(mean.reshape(BACKGROUND.shape[1:]))).numpy()
    expected = mean + B @ H.T @ np.linalg.solve(H @ B @ H.T + R, d)
    scale = np.repeat(made.SCALE, made.SPACE.grid.size)
    assert alpha_squared > 0.1 and np.abs((expected - mean) / scale).max() > 0.5
    np.testing.assert_allclose(made.flat(found.members).mean(axis=0) / scale, expected / scale, atol=2e-3)
    untouched = method(background="ensemble").analyse(problem(term=None), DRAWS)
    np.testing.assert_array_equal(untouched.members, BACKGROUND)


def test_alpha_squared_is_smoothed_with_that_of_the_time_before():
    of = method(trained=False, background="ensemble", smoothing=0.75)
    alone = of.analyse(problem(), DRAWS).carried["alpha_squared"]
    after = of.analyse(replace(problem(), carried={"alpha_squared": 2.0}), DRAWS).carried["alpha_squared"]
    assert after == pytest.approx(0.75 * 2.0 + 0.25 * alone)


def write_weights(folder, sha256: str | None = None) -> None:
    known = hashlib.sha256((folder / "climates/small.nc").read_bytes()).hexdigest()
    flat = np.zeros(made.SPACE.grid.shape)
    weights = {name: tensor.numpy() for name, tensor in corrector().state_dict().items()}
    checkpoints.write(folder / "o2a/small.safetensors",
                      Checkpoint(card_of(sha256 or known), weights, {OROGRAPHY: flat, LAND_SEA_MASK: flat}))


def test_the_program_writes_the_same_bits_in_parts_and_refuses_weights_for_another_climate(tmp_path, monkeypatch):
    monkeypatch.delenv("WORK", raising=False)
    experiment = test_climatology_program.experiment(tmp_path, NEURAL)
    write_weights(tmp_path)
    analysis.main([str(experiment.toml), NOW])
    whole = contents(experiment.files)
    for path in (*experiment.files.analysis.members(4), experiment.files.departures):
        path.unlink()
    analysis.main([str(experiment.toml), NOW, "--members", "2:3"])
    analysis.main([str(experiment.toml), NOW, "--rest"])
    assert contents(experiment.files) == whole
    write_weights(tmp_path, "0" * 64)
    experiment.files.departures.unlink()
    with pytest.raises(UserError, match="corrects analyses with the climate of sha256 0000.*name that one, or train"):
        analysis.main([str(experiment.toml), NOW])
    write_weights(tmp_path)
    experiment.toml.write_text(experiment.toml.read_text() + 'background = "ensemble"\n')
    with pytest.raises(UserError, match='analyses about the climate, and .neural. background = "ensemble"'):
        analysis.main([str(experiment.toml), NOW])
