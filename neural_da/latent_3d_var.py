"""Ensembles of 3D-Var in a latent, with a variance of which the members say a part.

    x = x_b + dx,   dx = G zeta = t D(sqrt(b) zeta),   b = (1 - alpha) lambda^2 b_clim + alpha b_ens      (`hybrid`)
    J(zeta) = 1/2 |zeta|^2 + 1/2 sum_i ((y_i - H_i(x_b + dx)) / sigma_i)^2                           (`variational`)

With `ensemble_share` w the covariances of the members themselves are that part of B, localised (`localized`).

How members come about, `ensemble`:

    perturbed   each has its own background x_j and y + sigma eps_j (Burgers et al. 1998, MWR 126, 1719; with a hybrid
                covariance Hamill & Snyder 2000, MWR 128, 2905)
    recentred   the mean is analysed with y; about it stand the members' own departures from their mean, less half of
                what the mean's gain would take:  x'_j - 1/2 K H' x'_j  (Sakov & Oke 2008, Tellus 60A, 361).  No
                observation is perturbed
    posterior   draws from the posterior about the mean: J of N(mean, G G^T) is minimised from  mean + G eta_j  with
                y + sigma eps_j (Bardsley et al. 2014, SIAM J. Sci. Comput. 36, A1895; exact where H is linear).
                Departures of the background enter by B alone

With an `autoencoder` about the latent increments depend on the state (`decoded`); let `steps` be 2 or more then.
`form` = "decode" has R(z_b), what the latent holds of the background, in the place of x_b: what it cannot hold is let
go.  eps and eta are centred over the members (`draws`), so that for linear H and one b the mean of the members'
analyses is the analysis of their mean, which is that of the Kalman filter with B = G G^T.  With b of its own for each
member (`leave_one_out`) it is not.  A member has its own step lengths and stopping test: its bits do not depend on whom
it is analysed with.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from contracts.config import Experiment
from contracts.state import StateSpace
from networks.autoencoder import reading
from networks.autoencoder.network import Autoencoder
from networks.latent import card
from networks.latent.operator import Operator
from neural_da.decoded import Decoded, Decoder
from neural_da.draws import STATES, Draws
from neural_da.found import Found, analysed_as, single, told
from neural_da.hybrid import Variances
from neural_da.localized import Extended, Share, Sized, at_points
from neural_da.method import Analysed
from neural_da.methods import Latent3DVar
from neural_da.problem import Problem
from neural_da.side_by_side import by_itself, each_member
from neural_da.variational import Stops, Variational

log = logging.getLogger("neural_da.latent_3d_var")
Member = Callable[[int, int], Found]  # the i-th of the members asked for, whose number is this -> its analysis


def prepared(settings: Latent3DVar, experiment: Experiment, space: StateSpace) -> "Prepared":
    """The method for states of `space`; raises UserError where its latent does not fit the experiment."""
    path, dtype = experiment.file(settings.latent, experiment.start), getattr(torch, settings.precision)
    share, unseen = Share.of(settings, space, dtype, experiment.members), settings.unseen_in(experiment)
    if settings.autoencoder is None:
        return Prepared(settings, Operator.of(card.read(path, space, unseen), dtype=dtype), share=share)
    weights = experiment.file(settings.autoencoder, experiment.start)
    return about(settings, reading.read(weights, path, space, unseen, dtype), share)


def about(settings: Latent3DVar, network: Autoencoder, share: Share | None = None) -> "Prepared":
    """The method with a network about its latent, and the network's own b_clim."""
    return Prepared(settings, replace(network.linear, variance=network.variance), share=share, network=network)


@dataclass(frozen=True)
class Prepared:
    """The method with its latent, and what the members' own covariances need where they have a share."""

    settings: Latent3DVar
    latent: Operator
    share: Share | None = field(default=None, kw_only=True)
    network: Autoencoder | None = field(default=None, kw_only=True)

    def memory(self, nobs: int) -> float:
        """The bases; of each member in hand seven latent vectors, six states and H' with its numbers by row and
        entry."""
        number, state = self.latent.mean.element_size(), 8 * self.latent.mean.numel()
        basis = number * sum(P.numel() for grid in self.latent.grids for P in grid.basis)
        member = 7 * number * self.latent.size + 6 * state + 2 * 24 * 12 * nobs
        if self.share is not None:  # the roots; of each member in hand four times the departures of all
            basis += number * self.share.taper.horizontal.numel()
            member += 4 * number * self.latent.mean.numel() * self.share.members
        if self.network is not None:  # of the decoder and its derivative, forward and backward: what convolutions give
            width = sum(bias.numel() for bias in self.network.after.parameters() if bias.ndim == 1)
            member += 8 * number * width * self.network.space.grid.size
        return float(basis + self.settings.threads * member)

    def analyse(self, problem: Problem, draws: Draws) -> Analysed:
        """All members asked for, `threads` of them side by side; without observations their backgrounds, to the bit."""
        if not problem.nobs:
            return Analysed(problem.background[problem.members], self.fields(problem))
        member = ENSEMBLES[self.settings.ensemble](self, problem, draws)
        found = each_member(problem, member, self.settings.threads)
        if found:
            log.info("%s", told(found))
        return analysed_as(problem, found, fields=self.fields(problem))

    def fields(self, problem: Problem) -> dict[str, np.ndarray]:
        """What b says at every point, where that is asked for: of the mean, so that it depends on no choice of
        members."""
        if not self.settings.write_deviation:
            return {}
        covariance = self.covariances(problem).of()
        deviation = at_points(covariance.maps, covariance.deviation)
        return {"background_deviation": deviation.reshape(problem.background.shape[1:]).numpy()}

    @property
    def stops(self) -> Stops:
        return Stops(self.settings.tolerance, self.settings.iterations, self.settings.steps)

    def covariances(self, problem: Problem) -> "Covariances":
        """B of the mean and of each member."""
        chosen = self.settings
        variances = Variances.of(self.latent, chosen.factor, chosen.alpha, chosen.leave_one_out, problem.background,
                                 self.network)
        return Covariances(variances, self.share, problem.background)

    def variational(self, problem: Problem, covariance: "Covariance", background: np.ndarray | Tensor,
                    values: list[np.ndarray]) -> Variational:
        """J of a member or the mean with this `background` (channel, column), as `form` says."""
        start, observed = torch.as_tensor(background).to(torch.float64), [torch.tensor(y) for y in values]
        single = start.to(covariance.deviation.dtype)
        if self.network is None:
            if self.settings.form == "decode":
                start = self.latent.reconstruct(self.latent.encode(single), len(start)).to(torch.float64)
            return Variational(problem, covariance.maps, covariance.deviation, start, observed)
        decoder = Decoder(self.network, self.network.encode(single))
        maps = replace(covariance.maps, latent=decoder) if isinstance(covariance.maps, Extended) else decoder
        if self.settings.form == "decode":
            start = self.network.decode(decoder.z).to(torch.float64)
        return Decoded(problem, maps, covariance.deviation, start, observed)


@dataclass(frozen=True)
class Covariances:
    """B of the mean and of each member: of the latent, and of the members' own where they have a `share`."""

    variances: Variances
    share: Share | None
    background: np.ndarray

    def of(self, number: int | None = None) -> "Covariance":
        """Of member `number`, or of the mean."""
        return self._made(number) if number is not None and self.variances.leave_one_out else self._of_all

    @cached_property
    def _of_all(self) -> "Covariance":
        return self._made(None)

    def _made(self, number: int | None) -> "Covariance":
        deviation, latent = self.variances.deviation(number), self.variances.latent
        if self.share is None:
            return Covariance(latent, deviation)
        maps = self.share.beside(latent, self.background, number)
        return Covariance(maps, maps.deviation(deviation, self.share.weight))


@dataclass(frozen=True)
class Covariance:
    """B = G G^T by the maps of a control vector and its standard deviations."""

    maps: Sized | Extended
    deviation: Tensor


def perturbed(method: Prepared, problem: Problem, draws: Draws) -> Member:
    """Each member from its own background, with its own observation errors."""
    values = problem.perturbed(draws.observation_errors(problem.rows))
    covariances = method.covariances(problem)

    def member(i: int, number: int) -> Found:
        of = method.variational(problem, covariances.of(number), problem.background[number], [y[i] for y in values])
        return Found.at(of.minimum(method.stops), problem.nobs)

    return member


def posterior(method: Prepared, problem: Problem, draws: Draws) -> Member:
    """Each member a draw about the mean: moved by eta before, and with its own observation errors."""
    values = problem.perturbed(draws.observation_errors(problem.rows))
    covariance, mean = method.covariances(problem).of(), _mean(problem)
    eta = draws.centred(STATES, covariance.deviation.numel())

    def member(i: int, number: int) -> Found:
        of = method.variational(problem, covariance, mean, [y[i] for y in values])
        drawn = of.moved(torch.tensor(eta[number], dtype=covariance.deviation.dtype))
        return Found.at(drawn.minimum(method.stops), problem.nobs)

    return member


def recentred(method: Prepared, problem: Problem, draws: Draws) -> Member:
    """The members' own departures, less half of what the mean's gain takes, about the analysis of the mean."""
    mean, values = _mean(problem), [term.value.numpy() for term in problem.terms]
    of = method.variational(problem, method.covariances(problem).of(), mean, values)
    analysed = by_itself(lambda: of.minimum(method.stops))
    about = of.linear(analysed.zeta)
    tangents = about.tangents(analysed.state)

    def member(i: int, number: int) -> Found:
        own = torch.tensor(problem.background[number], dtype=torch.float64) - mean
        taken = about.gain(tangents, own, method.stops)
        x = analysed.state + own - 0.5 * about.increment(taken.x)
        return Found(single(x), taken.iterations, np.array(analysed.course) / problem.nobs)

    return member


ENSEMBLES = {"perturbed": perturbed, "recentred": recentred, "posterior": posterior}


def _mean(problem: Problem) -> Tensor:
    """(channel, column) of the background, in double precision."""
    return torch.tensor(problem.background.mean(axis=0, dtype=np.float64))

