r"""The task: from observations of a state of the past to the latent of that state.

Of each state of a batch a network of stations is drawn, some of them are left out, and the others observe it, each with
an error of its own:

    d = A (xi - xi_climate) + e,   e ~ N(0, I)             in units of the errors, A as in `gridding`

    loss = mean of  s 1/2 ((z - mu)^2 / r + ln r)          over the numbers of the latent;  s = (r / c)^evenness

With evenness 0 it is the negative logarithm of the Gaussian likelihood.  Its gradient passes over what is uncertain,
divided by r, which is where most of the error is; a factor of r^beta that is held constant leaves the minimum where it
is (Seitzer et al. 2022, arXiv 2203.09168).  The scores are those of the likelihood itself, in a year that is not
trained on, with all stations of the first network, and the error of R(mu) in SI units.

What it learns is the mean and variance of the latent given observations and the climate of its training years, not a
likelihood: `estimate.without_prior` takes the climate out again.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from contracts.constants import HOUR
from contracts.errors import UserError
from networks import checkpoint as checkpoints
from networks import planes
from networks.card import Card
from networks.checkpoint import Checkpoint
from networks.latent import card as latents
from networks.latent.operator import Operator
from networks.o2l import footprints, gridding, network
from networks.o2l.card import O2LCard, Settings
from networks.o2l.network import Estimate, Observer
from networks.training import cards, config, statistics, validation
from networks.training.config import Phase
from networks.training.loss import Scores
from networks.training.task import Batch, Data, Place, Roles, Score, Validated

log = logging.getLogger("networks.train")
OF_ANY_LATENT = ("pyramid", "state")  # parts of the network
CLIMATE_STATES = 200  # of the training years, for the climate's variance in the latent
VALIDATION = 10**6  # tells the random numbers of the validation from those of the training
PIECE = 8  # states at once in a validation


@dataclass(frozen=True)
class Observing:
    """A `Task`: an `Observer` learns from states and from what stations see of them, `seen` by each network."""

    settings: config.Settings
    sizes: Settings
    data: Data
    network: Observer
    card: Card[O2LCard]
    seen: tuple[tuple[footprints.Footprints, csr_array], ...]
    shares: np.ndarray
    unseen: np.ndarray  # (n,) numbers of the states to validate with
    roles: Roles = Roles()

    def span(self, phase: Phase) -> int:
        return 0

    def loss(self, batch: Batch, place: Place) -> Tensor:
        fields, seconds = batch.fields[0], batch.seconds[0]
        random = np.random.default_rng((self.settings.experiment.seed, place.phase, place.epoch, place.batch))
        xi, anomaly = self.dimensionless(fields, seconds)
        observed = np.stack([self.drawn(random, one) for one in anomaly.double().numpy()])
        found = self.estimated(observed, seconds)
        weight = ((found.log_variance - self.network.climate) * self.sizes.evenness).exp().detach()
        return (weight * self.surprise(xi, found)).mean()

    def drawn(self, random: np.random.Generator, anomaly: np.ndarray) -> np.ndarray:
        """g and W (2, size) of what some stations of one of the networks see of an `anomaly` (size,)."""
        stations, A = self.seen[random.choice(len(self.seen), p=self.shares)]
        used = stations.some(random, self.sizes.dropped * random.random())
        return gridding.gridded(A, A @ anomaly + random.standard_normal(len(stations)), used)

    def dimensionless(self, fields: np.ndarray, seconds: np.ndarray) -> tuple[Tensor, Tensor]:
        """xi and its anomaly from the climate of the date, (B, size), of `fields` (B, channel, lat, lon)."""
        latent = self.network.latent
        xi = (torch.from_numpy(fields).flatten(1) - latent.mean) / latent.scale
        with torch.no_grad():
            return xi, xi - self.network.mean_of(seconds)

    def estimated(self, observed: np.ndarray, seconds: np.ndarray) -> Estimate:
        """Of observations (B, 2, size)."""
        gathered = torch.from_numpy(observed).unflatten(-1, self.settings.space.shape)
        return self.network(gathered.to(self.data.device), seconds)

    def surprise(self, xi: Tensor, found: Estimate) -> Tensor:
        """1/2 ((z - mu)^2 / r + ln r) (B, latent size) of states `xi` (B, channel * column)."""
        z = self.network.latent.project(xi.to(found.mean.device))
        return 0.5 * ((z - found.mean).square() * (-found.log_variance).exp() + found.log_variance)

    @torch.no_grad()
    def scores(self, place: Place) -> Validated:
        """By the likelihood, and by the error of R(mu)."""
        series, (stations, A) = self.data.series, self.seen[0]
        sums, total = Scores(self.settings.space.grid.area_weights), 0.0
        for first in range(0, len(self.unseen), PIECE):
            numbers = self.unseen[first : first + PIECE]
            fields, seconds = series.fields(numbers), series.seconds[numbers]
            xi, anomaly = self.dimensionless(fields, seconds)
            random = np.random.default_rng((self.settings.experiment.seed, VALIDATION, first))
            observed = np.stack([gridding.gridded(A, A @ one + random.standard_normal(len(stations)))
                                 for one in anomaly.double().numpy()])
            found = self.estimated(observed, seconds)
            total += float(self.surprise(xi, found).mean(-1).sum())
            state = self.network.latent.reconstruct(found.mean, len(self.settings.space.channels))
            sums.add(state.cpu().numpy().reshape(fields.shape), fields, self.climate_at(seconds))
        return Validated(total / len(self.unseen), validation.rows("estimate", self.settings.space, sums))

    def references(self) -> list[Score]:
        """The climate of the date."""
        sums = Scores(self.settings.space.grid.area_weights)
        for number in self.unseen:
            expected = self.climate_at(self.data.series.seconds[[number]])
            sums.add(expected, self.data.series.fields([number]), expected)
        return list(validation.rows("climatology", self.settings.space, sums))

    def climate_at(self, seconds: np.ndarray) -> np.ndarray:
        """(time, channel, lat, lon) in SI units."""
        return self.data.statistics.climatology.at(seconds)

    def checkpoint(self, best: Mapping[str, Tensor]) -> Checkpoint:
        arrays = {name: tensor.numpy() for name, tensor in best.items()}
        return Checkpoint(self.card, arrays, statistics.constants(self.data.series))


def of(settings: config.Settings, sizes: Settings, data: Data) -> Observing:
    """The task; raises UserError or ContractError where latent, footprints or data do not fit."""
    refuse_misfit(settings, sizes)
    space, path = settings.space, settings.experiment.in_work(sizes.latent)
    latent = Operator.of(latents.read(path, space), data.device)
    unseen = validation.states(settings, data.series)
    card = card_of(settings, sizes, data, hashlib.sha256(path.read_bytes()).hexdigest())
    read = [footprints.read(settings.experiment.in_work(name), space) for name in sizes.footprints]
    scale = latent.scale.cpu().double().numpy()
    shares = np.array(sizes.shares or [1.0] * len(read))
    task = Observing(settings, sizes, data, fresh(settings, card, latent, data), card,
                     tuple((one, gridding.in_scales(one.rows, scale)) for one in read), shares / shares.sum(), unseen)
    learn_climate(task, latent)
    return task


def card_of(settings: config.Settings, sizes: Settings, data: Data, latent_sha256: str) -> Card[O2LCard]:
    """The card of the weights that this training makes."""
    own = O2LCard(widths=sizes.widths, blocks=sizes.blocks, latent_sha256=latent_sha256,
                  seasons=len(data.statistics.climatology.coefficients), footprints=sizes.footprints,
                  dropped=sizes.dropped)
    return cards.made(settings, own, data.statistics.moments)


def refuse_misfit(settings: config.Settings, sizes: Settings) -> None:
    """Raises UserError where the grid cannot be halved so often, or a phase asks for what only forecasts have."""
    refuse_other_halves(settings, sizes.widths)
    for number, phase in enumerate(settings.training.phases, 1):
        if phase.rollout > 1 or phase.noise or phase.mixing:
            raise UserError(f"[[training.phases]] {number}: rollout, noise and mixing are for forecasts; an o2l has "
                            "none, remove them")


def refuse_other_halves(settings: config.Settings, widths: Sequence[int]) -> None:
    """Raises UserError where the grid cannot be halved for each of the `widths` but the first."""
    halved = 2 ** (len(widths) - 1)
    if any(number % halved for number in settings.space.grid.shape):
        raise UserError(f"[network] widths has {len(widths)} levels, each on a grid of half as many rows and "
                        f"columns as the one before: expected both to be multiples of {halved}, got the "
                        f"{settings.space.grid}; give fewer widths")


def fresh(settings: config.Settings, card: Card[O2LCard], latent: Operator, data: Data) -> Observer:
    """The network as it begins: drawn from the experiment's seed, or with the weights to begin with."""
    torch.manual_seed(settings.experiment.seed)
    still = statistics.constants(data.series)
    observer = Observer(network.shape_of(card), latent, settings.space.grid, planes.of(card, still), data.precision)
    if settings.begin is not None:
        begin_with(settings.begin, observer, card)
    return observer


def begin_with(path: Path, observer: Observer, card: Card[O2LCard]) -> None:
    """Take the weights at `path`, but for the variance where they know another latent; raises UserError where they are
    of another network."""
    found = checkpoints.read(path)
    if (not isinstance(found.card.network, O2LCard) or found.card.outputs != card.outputs
            or network.shape_of(found.card) != network.shape_of(card)):
        raise UserError(f"[training] begin = {str(path)!r}: is no network of [network] and [state]; make them agree")
    taken = {name: torch.from_numpy(array) for name, array in found.weights.items()}
    if found.card.network.latent_sha256 != card.network.latent_sha256:
        log.info("%s: knows another latent; the mean begins with its weights, the variance anew", path)
        taken = {name: tensor for name, tensor in taken.items() if name.split(".")[0] in OF_ANY_LATENT}
    observer.load_state_dict(observer.state_dict() | taken)


def learn_climate(task: Observing, latent: Operator) -> None:
    """What the network knows of the climate before it is trained: the mean of the date, and the variance in the
    latent, of states spread over the training years."""
    observer, (series, known) = task.network, (task.data.series, task.data.statistics.climatology.coefficients)
    observer.season.copy_(torch.from_numpy(known).flatten(1) / latent.scale)
    observer.season[0] -= latent.mean / latent.scale
    step = task.settings.experiment.step_hours * HOUR
    numbers = np.concatenate([series.starts(*period, step, 0)[:, 0] for period in task.settings.periods])
    chosen = validation.spread(numbers, CLIMATE_STATES)
    anomalies = [latent.project(task.dimensionless(series.fields([i]), series.seconds[[i]])[1])[0] for i in chosen]
    observer.log_climate.copy_(network.climate_variance(latent, anomalies).log())
