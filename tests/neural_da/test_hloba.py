"""HLOBA: the closed form is the Kalman filter, the spread is what it says, and what must change no bit."""

from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

import numpy as np
import pytest
import torch

from contracts import state, times
from contracts.state import StateSpace
from networks import checkpoint as checkpoints
from networks import planes
from networks.card import Card, GridCard
from networks.checkpoint import Checkpoint
from networks.normalization import CONSTANTS, LAND_SEA_MASK, OROGRAPHY, Moments
from networks.o2l import estimate, network
from networks.o2l.card import O2LCard
from networks.o2l.estimate import Information
from networks.o2l.network import Observer
from neural_da.hloba import Prepared
from neural_da.methods import Hloba
from neural_da.problem import Earlier
from tests.builders import CLIMATE
from tests.letkf_mpi.case import contents
from tests.networks.climax_builders import randomise
from tests.neural_da import case, made

LATENT = made.latent()
BACKGROUND = made.ensemble()
ROUNDING = 2e-4  # of an analysis in single precision, in the scales of its channels
TERM = made.term(made.table(40))


def card_of(space: StateSpace, latent_sha256: str = "") -> Card:
    names = tuple(channel.name for channel in space.channels)
    moments = {channel.name: Moments(mean=CLIMATE[channel.variable][0], std=CLIMATE[channel.variable][1])
               for channel in space.channels} | {name: Moments(mean=0.0, std=1.0) for name in CONSTANTS}
    own = O2LCard(widths=(4, 6), blocks=1, latent_sha256=latent_sha256, seasons=1, footprints=("made",), dropped=0.6)
    return Card(name="small", network=own, grid=GridCard(nlat=space.grid.shape[0], nlon=space.grid.shape[1]),
                inputs=(*names, *CONSTANTS), outputs=names, normalization=moments)


def observer(latent) -> Observer:
    """A network with random weights; its climate is that of the made states."""
    card, flat = card_of(made.SPACE), np.zeros(made.SPACE.grid.shape)
    still = planes.of(card, {OROGRAPHY: flat, LAND_SEA_MASK: flat})
    of = Observer(network.shape_of(card), latent, made.SPACE.grid, still)
    randomise(of, size=0.1)
    mean = np.repeat([CLIMATE[channel.variable][0] for channel in made.SPACE.channels], made.SPACE.grid.size)
    of.season.copy_(torch.tensor(mean)[None] / latent.scale)
    of.log_climate.fill_(float(np.log(100.0)))
    return of.eval().requires_grad_(False)


def method(**settings) -> Prepared:
    latent = made.method(LATENT, precision="float32").latent
    return Prepared(Hloba(**settings), latent, observer(latent))


def analysed(background=BACKGROUND, members=None, term=TERM, **settings):
    of = made.problem(background, *([term] if term else []), members=members)
    return method(**settings).analyse(of, made.draws(len(background)))


def in_scales(x: np.ndarray) -> np.ndarray:
    return np.abs(x) / np.repeat(made.SCALE, made.SPACE.grid.size)


@dataclass(frozen=True)
class Told(Prepared):
    """What observations say of the latent, given instead of what a network makes of them."""

    information: Information | None = None

    def told(self, problem):
        return self.information


def told(y: np.ndarray, r: np.ndarray, **settings) -> Told:
    of, r_ = method(**settings), torch.tensor(r)
    return Told(of.settings, of.latent, of.observer, Information(1 / r_, torch.tensor(y) / r_))


def test_with_the_likelihoods_own_values_the_mean_is_that_of_the_kalman_filter():
    """Each number of the latent observed: B of the climatology, R diagonal, both dense."""
    rng = np.random.default_rng(5)
    P = made.method(LATENT).latent.project(torch.eye(int(made.SIZE), dtype=torch.float64)).numpy().T
    H = P / np.repeat(made.SCALE, made.SPACE.grid.size)
    mean = made.flat(BACKGROUND).mean(axis=0)
    r = rng.uniform(1, 20, len(H))
    y = H @ mean + np.sqrt(r) * rng.standard_normal(len(H))
    B = made.covariance(LATENT, 2.0)
    expected = mean + B @ H.T @ np.linalg.solve(H @ B @ H.T + np.diag(r), y - H @ mean)
    found = told(y, r, background="climatology").analyse(made.problem(BACKGROUND, TERM), made.draws(len(BACKGROUND)))
    assert in_scales(expected - mean).max() > 0.5
    assert in_scales(made.flat(found.members).mean(axis=0) - expected).max() < 5 * ROUNDING


@pytest.mark.parametrize("background", ["ensemble", "climatology"])
def test_observations_that_say_nothing_leave_the_mean_of_the_background(background):
    size = method().latent.size
    of = told(np.full(size, 3.0), np.full(size, 1e20), background=background)
    found = made.flat(of.analyse(made.problem(BACKGROUND, TERM), made.draws(len(BACKGROUND))).members)
    assert in_scales(found.mean(axis=0) - made.flat(BACKGROUND).mean(axis=0)).max() < 5 * ROUNDING


def test_without_observations_the_background_is_the_analysis_to_the_bit():
    assert np.array_equal(analysed(term=None).members, BACKGROUND)


@pytest.mark.parametrize("settings", [{}, {"background": "climatology"}, {"share": 1.0, "amplitude": 0.5},
                                      {"prior": "removed", "factor": 0.3, "background": "climatology"}])
def test_the_spread_of_the_ensemble_in_the_latent_is_p_whatever_was_assumed(settings):
    background = made.ensemble(60)
    of, problem = method(**settings), made.problem(background, TERM)
    z = of.encoded(of.analyse(problem, made.draws(60)).members)
    before = of.encoded(background)
    p = estimate.combined(before.mean(0), of.background_variance(problem, before), of.told(problem))[1]
    ratio = z.var(dim=0, correction=1) / p
    assert float(ratio.mean()) == pytest.approx(1, abs=0.02)
    assert float(ratio.std()) < 1.3 * np.sqrt(2 / 59)


def test_where_what_is_assumed_is_what_the_members_have_they_keep_what_perturbed_observations_leave_them():
    """g = 1 - K, and draws of variance K^2 r (Burgers et al. 1998)."""
    from neural_da.hloba import Update

    v, r = torch.tensor([0.5, 2.0]).double(), torch.tensor([1.0, 1.0]).double()
    K = v / (v + r)
    update = Update(method().latent, torch.zeros(2), torch.zeros(2), (1 - K) * v, v, v, made.draws(4))
    assert torch.allclose(update.kept, 1 - K) and torch.allclose(update.drawn**2, K**2 * r)


def test_a_member_and_the_field_have_the_same_bits_whatever_it_is_analysed_with():
    whole = analysed()
    for members in ([0], [3, 1], [2, 3, 0]):
        found = analysed(members=members, threads=2)
        assert np.array_equal(found.members, whole.members[members])
        assert np.array_equal(found.fields["uncertainty"], whole.fields["uncertainty"])


def test_draws_have_no_mean():
    """The mean of the members is the analysis of the mean."""
    of, problem = method(), made.problem(BACKGROUND, TERM)
    z = of.encoded(BACKGROUND)
    expected = estimate.combined(z.mean(0), of.background_variance(problem, z), of.told(problem))[0]
    found = of.encoded(of.analyse(problem, made.draws(len(BACKGROUND))).members).mean(0)
    assert torch.allclose(found, expected, atol=20 * ROUNDING)


def test_without_the_prior_it_is_weighed_by_what_the_observations_add_to_the_climate():
    kept, removed = (method(prior=prior).told(made.problem(BACKGROUND, TERM)) for prior in ("kept", "removed"))
    mean, c = estimate.climate(observer(method().latent), 0)
    assert torch.allclose(removed.precision, (kept.precision - 1 / c).clamp(min=0))
    says = removed.precision > 0
    assert says.any() and torch.allclose(removed.weighted[says], (kept.weighted - mean / c)[says])


def test_the_background_variance_is_that_of_forecasts_that_began_at_different_times():
    forecasts = tuple(made.ensemble(7)[4:])
    of = method(background="lagged", share=1.0, amplitude=2.0)
    problem = made.problem(BACKGROUND, TERM, earlier=Earlier(forecasts=forecasts))
    together = np.stack([*forecasts, BACKGROUND.mean(axis=0)])
    variance = of.encoded(together).var(dim=0, correction=1)
    found = of.background_variance(problem, of.encoded(BACKGROUND))
    assert torch.allclose(found, 4 * of.latent.smoothed(variance), rtol=1e-3)
    alone = of.background_variance(made.problem(BACKGROUND, TERM), of.encoded(BACKGROUND))
    assert torch.allclose(alone, 4 * of.latent.variance.double())  # at the first times: factor^2 b_clim
    assert [lead / timedelta(hours=1) for lead in of.settings.needs.lagged_forecasts] == [12, 24, 36, 48]
    assert not method().settings.needs.lagged_forecasts


def write_weights(folder) -> None:
    """Random weights for the made latent of tests/neural_da/case.py."""
    path = folder / "latent/small.safetensors"
    latent = made.method(made.latent(), precision="float32").latent
    of, still = observer(latent), np.zeros(made.SPACE.grid.shape)
    checkpoints.write(folder / "o2l/small.safetensors", Checkpoint(
        card_of(made.SPACE, sha256(path.read_bytes()).hexdigest()),
        {name: tensor.numpy() for name, tensor in of.state_dict().items()}, {OROGRAPHY: still, LAND_SEA_MASK: still}))


NEURAL = """
[neural]
method = "hloba"
latent = "latent/small.safetensors"
weights = "o2l/small.safetensors"
"""


def test_the_program_leaves_members_and_an_uncertainty_and_the_same_bits_in_parts(tmp_path):
    experiment = case.make(tmp_path, NEURAL)
    write_weights(tmp_path)
    assert (done := case.program(experiment.toml, case.NOW)).returncode == 0, done.stderr
    whole = contents(experiment.files)
    field = state.read(experiment.files.field("uncertainty"), made.SPACE, times.parse(case.NOW)).data
    assert (field > 0).all()
    for path in (*experiment.files.analysis.members(4), experiment.files.departures):
        path.unlink()
    assert case.program(experiment.toml, case.NOW, "--members", "2:3").returncode == 0
    assert (done := case.program(experiment.toml, case.NOW, "--rest")).returncode == 0, done.stderr
    assert contents(experiment.files) == whole


def test_weights_of_another_latent_are_refused(tmp_path):
    experiment = case.make(tmp_path, NEURAL)
    write_weights(tmp_path)
    card = tmp_path / "o2l/small.toml"
    card.write_text(card.read_text().replace('"latent_sha256" = "', '"latent_sha256" = "0'))
    refused = case.program(experiment.toml, case.NOW)
    assert refused.returncode == 1 and "knows the latent of sha256" in refused.stderr
