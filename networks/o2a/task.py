"""The task: what optimal interpolation has missed of states of the past.

    loss = mean of  w (z - z_a - N)² / v          v the variance that the prior gives the error of z_a, by channel

w the weight of area, z in scales of the climate, so that the loss of N = 0 is 1 where the prior is right.  Analyses are
made once and kept (`analyses`).  The scores are those of a year that is not trained on, with all stations.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from contracts.constants import HOUR
from contracts.errors import UserError
from networks import card, passes, planes, starter
from networks import checkpoint as checkpoints
from networks import unseen as unseen_by
from networks.card import Card
from networks.checkpoint import Checkpoint, card_path
from networks.climate import file as climates
from networks.emulator import Emulator
from networks.loading import fill
from networks.o2a import network
from networks.o2a.analyses import Analyses, Group, Making, chained, grouped
from networks.o2a.card import O2ACard, Settings
from networks.o2a.network import Corrector, Given
from networks.o2l import footprints
from networks.o2l.task import refuse_other_halves
from networks.training import cards, config, plan, statistics, validation
from networks.training.config import Phase
from networks.training.loss import Scores
from networks.training.task import Batch, Data, Place, Roles, Score, Validated

log = logging.getLogger("networks.train")
PIECE = 8  # states at once in a validation
LEAST_VARIANCE = 1e-4  # of the climate's, of a channel that is known exactly


@dataclass(frozen=True)
class Correcting:
    """A `Task`: a `Corrector` learns from analyses of states; `weights` (channel, lat, lon) are w / v."""

    settings: config.Settings
    data: Data
    network: Corrector
    card: Card[O2ACard]
    making: Making
    trained: Analyses
    unseen: Analyses
    numbers: np.ndarray  # (n,) of the states to validate with
    weights: Tensor
    roles: Roles = Roles()

    def span(self, phase: Phase) -> int:
        return span(self.card.network.cycles)

    def loss(self, batch: Batch, place: Place) -> Tensor:
        given = self.given(self.trained, batch.seconds[-1])
        return self.off(batch.fields[-1], given, self.network(given))

    def given(self, of: Analyses, seconds: np.ndarray) -> Given:
        analysis, deviations, left = (torch.from_numpy(array).to(self.data.device) for array in of.of(seconds))
        return Given(left, analysis, deviations, seconds)

    def off(self, fields: np.ndarray, given: Given, correction: Tensor) -> Tensor:
        """The loss of a `correction` of what is `given`, of the states `fields` (B, channel, lat, lon)."""
        z = torch.from_numpy(self.making.dimensionless(fields, given.seconds)).to(correction.device)
        return (self.weights * (z - given.analysis - correction).square()).mean()

    @torch.no_grad()
    def scores(self, place: Place) -> Validated:
        total, scores = self._judged("analysis", self.network)
        return Validated(total, scores)

    @torch.no_grad()
    def references(self) -> list[Score]:
        """Optimal interpolation without a correction."""
        return list(self._judged("interpolation", lambda given: torch.zeros_like(given.analysis))[1])

    def _judged(self, kind: str, correct: Callable[[Given], Tensor]) -> tuple[float, tuple[Score, ...]]:
        series, prior = self.data.series, self.making.prior
        sums, total = Scores(self.settings.space.grid.area_weights), 0.0
        for first in range(0, len(self.numbers), PIECE):
            numbers = self.numbers[first : first + PIECE]
            fields, seconds = series.fields(numbers), series.seconds[numbers]
            given = self.given(self.unseen, seconds)
            correction = correct(given)
            total += float(self.off(fields, given, correction)) * len(numbers)
            mean = self.making.mean(seconds)
            sums.add(mean + prior.scale * (given.analysis + correction).cpu().numpy(), fields, mean)
        return total / len(self.numbers), validation.rows(kind, self.settings.space, sums)

    def checkpoint(self, best: Mapping[str, Tensor]) -> Checkpoint:
        arrays = {name: tensor.numpy() for name, tensor in best.items()}
        return Checkpoint(self.card, arrays, statistics.constants(self.data.series))


def of(settings: config.Settings, sizes: Settings, data: Data) -> Correcting:
    """The task, its analyses made; raises UserError or ContractError where prior, footprints or data do not fit."""
    refuse_other_halves(settings, sizes.widths)
    step, cycles = settings.experiment.step_hours * HOUR, sizes.cycles
    unseen = Group("unseen", validation.spread(data.series.starts(*settings.validation, step, cycles),
                                               settings.training.validation_samples), 0.0)
    if not unseen.numbers.size:
        raise UserError(f"{data.series.folder.folder}: holds no state for validation; it holds {data.series.span}")
    making, prior_sha256 = making_of(settings, sizes, data)
    seed = settings.experiment.seed
    chains = chained(plan.windows_of(data.series, settings, span(cycles)), cycles)
    training = grouped(chains, sizes.group, sizes.dropped, seed)
    making.write([unseen, *training])
    trained, card = making.read(training), card_of(settings, sizes, data, prior_sha256)
    return Correcting(settings, data, fresh(settings, card, data), card, making, trained, making.read([unseen]),
                      unseen.numbers[:, -1],
                      weights_of(trained.variance, settings.space.grid.area_weights).to(data.device))


def span(cycles: int) -> int:
    """Steps of time that a sample reaches: where it is the end of a forecast, its first state begins that."""
    return 1 if cycles else 0


def making_of(settings: config.Settings, sizes: Settings, data: Data) -> tuple[Making, str]:
    """What analyses are made from, and the sha256 of the prior."""
    experiment, space = settings.experiment, settings.space
    paths = experiment.in_work(sizes.prior), experiment.in_work(sizes.footprints)
    prior, stations = climates.read(paths[0], space), footprints.read(paths[1], space)
    prior_sha256, seen_sha256 = (hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    emulator, model_sha256 = emulator_of(settings, sizes) if sizes.cycles else (None, "")
    return Making(data.series, prior.astype(np.float32), stations, sizes.draws, experiment.seed,
                  settings.folder / "analyses", f"{prior_sha256} {seen_sha256} {model_sha256}",
                  emulator), prior_sha256


def emulator_of(settings: config.Settings, sizes: Settings) -> tuple[Emulator, str]:
    """What makes forecasts of one step of the experiment, and the sha256 of its weights; raises UserError where it has
    another step, or has seen times of training or validation, in which its errors are too small."""
    weights = settings.experiment.in_work(str(starter.find(sizes.model, starter.WEIGHTS)))
    known = card.read(card_path(weights), weights)
    for first, last in (*settings.periods, settings.validation):
        unseen_by.refuse_seen(weights, known.seen, first, last)
    emulator = passes.emulator_of(weights, settings.space)
    if emulator.step != settings.experiment.step:
        raise UserError(f"[network] model = {sizes.model!r}: steps by {emulator.step}, and [experiment] step_hours is "
                        f"{settings.experiment.step_hours}; make them agree")
    return emulator, known.sha256


def weights_of(variance: np.ndarray, area: np.ndarray) -> Tensor:
    """w / v float32 (channel, lat, lon) of the `variance` of errors (channel, lat, lon)."""
    of_channel = np.maximum((variance * area).mean(axis=(1, 2)), LEAST_VARIANCE)
    return torch.tensor(area / of_channel[:, None, None], dtype=torch.float32)


def card_of(settings: config.Settings, sizes: Settings, data: Data, prior_sha256: str) -> Card[O2ACard]:
    """The card of the weights that this training makes."""
    own = O2ACard(widths=sizes.widths, blocks=sizes.blocks, prior_sha256=prior_sha256, draws=sizes.draws,
                  cycles=sizes.cycles, footprints=sizes.footprints, dropped=sizes.dropped)
    return cards.made(settings, own, data.statistics.moments)


def fresh(settings: config.Settings, card: Card[O2ACard], data: Data) -> Corrector:
    """The network as it begins: drawn from the experiment's seed, or with the weights to begin with, which may be those
    of analyses about another background."""
    torch.manual_seed(settings.experiment.seed)
    still = planes.of(card, statistics.constants(data.series))
    corrector = Corrector(network.shape_of(card), settings.space.grid, still, data.precision)
    if settings.begin is not None:
        fill(corrector, checkpoints.read(settings.begin), settings.begin)
    return corrector
