"""The training: phases of epochs of batches, each step

    forecast `rollout` steps from the batch's first states, with noise if asked for, and compare each with the truth;
    gradient through all of them, shortened to `gradient_norm`; a step of the optimiser with the phase's rate.

After each epoch the validation year decides whether these weights are the best of the phase; the best are written with
their card at once, so that they can serve while the training goes on.  A phase ends with its epochs or its patience
and hands its best weights to the next.
"""

import logging
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from contracts import netcdf, times
from contracts.constants import HOUR
from contracts.errors import UserError
from contracts.progress import SECONDS_BETWEEN_LINES, duration
from networks import checkpoint as checkpoints
from networks.card import Card, GridCard
from networks.checkpoint import Checkpoint
from networks.climax import passes, stepping
from networks.climax.card import ClimaXCard
from networks.climax.emulator import ClimaXEmulator
from networks.climax.network import ClimaX, initialise, parameter_count
from networks.climax.stepping import Stepping
from networks.data.shards import Series, ShardFolder
from networks.emulator import Steps
from networks.normalization import CONSTANTS
from networks.training import curves, samples, state, statistics, validation
from networks.training.config import Phase, Settings
from networks.training.curves import Epoch, Record
from networks.training.loss import weighted_square
from networks.training.optimiser import Optimiser
from networks.training.samples import Batch
from networks.training.schedule import learning_rate
from networks.training.state import Place, Training
from networks.training.statistics import Statistics
from networks.training.validation import Validation

log = logging.getLogger("networks.train")
LEAD_SCALE = 100.0  # the network is given hours / 100, as upstream trains
GIGABYTE = 1e9


@dataclass(frozen=True)
class Trainer:
    """What does not change while training."""

    settings: Settings
    series: Series
    statistics: Statistics
    card: Card[ClimaXCard]
    stepping: Stepping
    weights: Tensor  # of area, (lat, lon)
    tendency: Tensor  # its standard deviations, (channel, 1, 1)
    device: torch.device
    windows: tuple[np.ndarray, ...]  # of each phase, (sample, rollout + 1)
    validation: Validation

    def step(self, network: ClimaX) -> Steps:
        """One step with the network's present weights, differentiable."""
        emulator = ClimaXEmulator(network, self.stepping, self.settings.training.precision).to(self.device)
        return lambda fields, seconds: emulator.advance((fields,), seconds)[0]

    def disturbance(self, place: Place, fields: Tensor) -> Tensor:
        """Noise for the first states `fields` of a batch, in standard deviations of the tendency."""
        seed = self.settings.experiment.seed
        noise = samples.disturbance(tuple(fields.shape), seed, place.phase, place.epoch, place.batch)
        return self.tendency * torch.from_numpy(noise).to(self.device)

    def mixed_in(self, place: Place, fields: Tensor) -> Tensor:
        """Parts of differences between states of the batch, with weights as a local analysis has them."""
        ln_p = np.log([channel.pressure for channel in self.settings.space.channels])
        size, *_, nlat, nlon = fields.shape
        weights = samples.mixing(size, ln_p, (nlat, nlon), self.settings.experiment.seed, place.phase, place.epoch,
                                 place.batch)
        return torch.from_numpy(weights).to(self.device) * (fields.roll(1, 0) - fields.roll(3, 0))

    def unobserved(self, place: Place, fields: Tensor) -> Tensor:
        """Large-scale errors of the channels that are said to be unobserved; nothing in the others."""
        strengths, names = self.settings.training.unobserved, [channel.name for channel in self.settings.space.channels]
        rows = [names.index(name) for name in strengths]
        size, _, *horizontal = fields.shape
        pattern = samples.unobserved((size, len(rows), *horizontal), self.settings.experiment.seed, place.phase,
                                     place.epoch, place.batch)
        strength = self.tendency[rows] * torch.tensor(list(strengths.values()), device=self.device)[:, None, None]
        errors = torch.zeros_like(fields)
        errors[:, rows] = strength * torch.from_numpy(pattern).to(self.device)
        return errors

    def batches(self, place: Place) -> list[np.ndarray]:
        """All batches of the epoch of `place`."""
        size, seed = self.settings.training.batch, self.settings.experiment.seed
        limit = self.settings.training.phases[place.phase].samples
        return samples.batches(self.windows[place.phase], size, seed, place.phase, place.epoch, limit)

    def batch_count(self, phase: int) -> int:
        training = self.settings.training
        return samples.batch_count(len(self.windows[phase]), training.batch, training.phases[phase].samples)

    def steps_left(self, place: Place) -> float:
        """Forecast steps still to be trained on, at most; the measure of time left."""
        phases = self.settings.training.phases
        here = phases[place.phase]
        left = ((here.epochs - place.epoch) * self.batch_count(place.phase) - place.batch) * here.rollout
        later = range(place.phase + 1, len(phases))
        return left + sum(phases[n].epochs * phases[n].rollout * self.batch_count(n) for n in later)


def train(settings: Settings) -> Path:
    """Train to the end from wherever it stands; returns the path of the weights."""
    trainer = prepared(settings)
    training = fresh(trainer)
    where, weights = settings.folder / "state.pt", settings.folder / f"{settings.experiment.name}.safetensors"
    if state.resume(where, training, settings):
        training.network.to(trainer.device)
        log.info("%s: goes on at phase %d epoch %d step %d", where, training.place.phase + 1,
                 training.place.epoch + 1, training.place.step)
    if not training.record.references:
        training.record = Record(references=tuple(trainer.validation.references()))
    phases = settings.training.phases
    log.info("%d parameters, %d samples, %d batches an epoch", parameter_count(training.network),
             len(trainer.windows[0]), trainer.batch_count(0))
    while training.place.phase < len(phases):
        epoch(trainer, training, where)
        close_epoch(trainer, training, weights)
        state.write(where, training, settings)
    log.info("%s: done; scores in %s", weights, settings.folder / "scores.csv")
    return weights


def prepared(settings: Settings) -> Trainer:
    """Data, statistics and card; raises UserError where the shards do not hold the periods."""
    training, device = settings.training, _device(settings.training.device)
    if training.threads is not None:
        torch.set_num_threads(training.threads)
    if training.precision == "tf32":
        torch.set_float32_matmul_precision("high")
    series = Series(ShardFolder(settings.shards_folder), settings.space, training.memory_gb * GIGABYTE)
    known = statistics.of(series, windows_of(series, settings, 1), settings.folder / "statistics.npz")
    card = card_of(settings, known)
    channels = [channel.name for channel in settings.space.channels]
    windows = tuple(windows_of(series, settings, phase.rollout) for phase in training.phases)
    unseen = validation_of(series, settings, known, settings.validation)
    fewest = min(samples.batch_count(len(window), training.batch, phase.samples)
                 for window, phase in zip(windows, training.phases, strict=True))
    if not fewest or not len(unseen.windows):
        raise UserError(
            f"{series.folder.folder}: holds {min(map(len, windows))} samples for training, at least one batch of "
            f"{training.batch} is needed, and {len(unseen.windows)} for validation; it holds {series.span}"
        )
    return Trainer(
        settings=settings, series=series, statistics=known, card=card,
        stepping=Stepping(card, statistics.constants(series), channels, climatology_of(card, known)).to(device),
        weights=torch.tensor(settings.space.grid.area_weights, dtype=torch.float32, device=device),
        tendency=torch.tensor([[[known.moments[name].tendency_std]] for name in channels], device=device),
        device=device, windows=windows, validation=unseen,
    )


def validation_of(series: Series, settings: Settings, known: Statistics,
                  period: tuple[datetime, datetime]) -> Validation:
    """Forecasts evenly spread over `period`."""
    training, hours = settings.training, settings.experiment.step_hours
    leads = tuple(lead // hours for lead in training.leads_hours)
    ahead = max(*leads, *(phase.rollout for phase in training.phases))
    windows = validation.spread(series.starts(*period, hours * HOUR, ahead), training.validation_samples)
    return Validation(series, known.climatology, windows, leads, hours * HOUR)


def windows_of(series: Series, settings: Settings, steps: int) -> np.ndarray:
    """(n, steps + 1): numbers of the times of all forecasts of `steps` steps inside one period of training."""
    step = settings.experiment.step_hours * HOUR
    return np.concatenate([series.starts(start, end, step, steps) for start, end in settings.periods])


def card_of(settings: Settings, known: Statistics) -> Card[ClimaXCard]:
    """The card of the weights that this training makes: all channels and the constants in, all channels out."""
    channels = tuple(channel.name for channel in settings.space.channels)
    grid, training = settings.grid, settings.training
    periods = [f"{times.name(start)} to {times.name(end)}" for start, end in settings.periods]
    return Card(
        name=settings.experiment.name,
        network=ClimaXCard(
            tokens=(*channels, *CONSTANTS), head=channels, **_sizes(settings), predicts=training.predicts,
            lead_hours=float(settings.experiment.step_hours), lead_scale=LEAD_SCALE, damping=training.damping,
        ),
        grid=GridCard(nlat=grid.nlat, nlon=grid.nlon, poles=grid.poles),
        inputs=(*channels, *CONSTANTS), outputs=channels, normalization=known.moments,
        about=f"trained by python -m networks train, {netcdf.version()}, on {training.source} "
        f"{' and '.join(periods)}, seed {settings.experiment.seed}",
        command=f"python -m networks train {settings.experiment.name}.toml",
        seen=(*settings.periods, settings.validation),
    )


def climatology_of(card: Card[ClimaXCard], known: Statistics) -> np.ndarray | None:
    """The mean of all training data (output, lat, lon), where the card needs it."""
    return known.climatology.coefficients[0] if card.network.damping is not None else None


def fresh(trainer: Trainer) -> Training:
    """A network with the weights to begin with, or ones drawn from the experiment's seed, and its optimiser."""
    network = ClimaX(stepping.architecture(trainer.card))
    initialise(network, torch.Generator().manual_seed(trainer.settings.experiment.seed))
    if trainer.settings.begin is not None:
        begin_with(trainer.settings.begin, network, trainer.card)
    network.to(trainer.device)
    return Training(network, optimiser_of(network, trainer.settings))


def begin_with(path: Path, network: ClimaX, card: Card[ClimaXCard]) -> None:
    """Take the weights at `path`; raises UserError where they are of other fields or another network."""
    found = passes.load(path)
    if found.card.network != card.network:
        raise UserError(f"[training] begin = {str(path)!r}: is no network of [network] and [state]; make them agree")
    network.load_state_dict({name: torch.from_numpy(array) for name, array in found.weights.items()})


def optimiser_of(network: ClimaX, settings: Settings) -> Optimiser:
    return Optimiser(network, settings.training.optimiser, settings.training.weight_decay)


def epoch(trainer: Trainer, training: Training, where: Path) -> None:
    """The batches of the present epoch that are still to be done."""
    place, phase = training.place, trainer.settings.training.phases[training.place.phase]
    todo = trainer.batches(place)[place.batch :]
    report, saved = _Report(trainer, place), time.monotonic()
    training.network.train()
    for batch in samples.read_ahead(trainer.series, todo):
        place.loss_sum += one_step(trainer, training, phase, batch)
        place.batch += 1
        place.step += 1
        report.line(place)
        if time.monotonic() - saved >= 60 * trainer.settings.training.save_minutes:
            state.write(where, training, trainer.settings)
            saved = time.monotonic()


def one_step(trainer: Trainer, training: Training, phase: Phase, batch: Batch) -> float:
    """One step of the optimiser; returns the loss."""
    place, settings = training.place, trainer.settings.training
    done = place.epoch * trainer.batch_count(place.phase) + place.batch
    rate = learning_rate(phase, done, phase.epochs * trainer.batch_count(place.phase))
    truth = torch.from_numpy(batch.fields).to(trainer.device)
    advance, fields = trainer.step(training.network), truth[0]
    if phase.noise:
        fields = fields + phase.noise * trainer.disturbance(place, fields)
    if phase.mixing:
        fields = fields + phase.mixing * trainer.mixed_in(place, truth[0])
    if settings.unobserved:
        fields = fields + trainer.unobserved(place, fields)
    loss = torch.zeros((), device=trainer.device)
    for expected, seconds in zip(truth[1:], batch.seconds, strict=False):
        fields = advance(fields, seconds)
        loss = loss + weighted_square(fields, expected, trainer.stepping.scale, trainer.weights) / phase.rollout
    value = loss.item()
    if not np.isfinite(value):
        raise UserError(
            f"the training loss is {value} at step {place.step} (phase {place.phase + 1}, epoch {place.epoch + 1}); "
            "lower its learning_rate; the last saved state is from before"
        )
    training.optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(training.network.parameters(), settings.gradient_norm)
    training.optimiser.step(rate)
    return value


@torch.no_grad()
def close_epoch(trainer: Trainer, training: Training, weights: Path) -> None:
    """Validate, record, keep the best weights, and move to the next epoch or phase."""
    place, phases = training.place, trainer.settings.training.phases
    phase = phases[place.phase]
    training.network.eval()
    advance = trainer.step(training.network)
    loss = trainer.validation.loss(advance, phase.rollout, trainer.stepping.scale, trainer.weights, trainer.device)
    scores = trainer.validation.scores(advance, trainer.device)
    mean = place.loss_sum / max(1, place.batch)
    steps = trainer.batch_count(place.phase)
    rate = learning_rate(phase, (place.epoch + 1) * steps - 1, phase.epochs * steps)
    line = Epoch(place.phase + 1, place.epoch + 1, place.step, phase.rollout, rate, mean, loss)
    training.record = training.record.plus(line, scores)
    log.info("phase %d/%d epoch %d/%d: training loss %.4f, validation loss %.4f%s", place.phase + 1, len(phases),
             place.epoch + 1, phase.epochs, mean, loss, ", best" if loss < place.best_loss else "")
    if loss < place.best_loss:
        place.best_loss, place.worse = loss, 0
        training.best = {name: tensor.cpu().clone() for name, tensor in training.network.state_dict().items()}
        publish(trainer, training.best, weights)
    else:
        place.worse += 1
    curves.write(trainer.settings.folder, training.record)
    _move_on(trainer, training, phase)


def publish(trainer: Trainer, best: dict[str, Tensor], weights: Path) -> None:
    """Weights and card, ready to serve."""
    arrays = {name: tensor.numpy() for name, tensor in best.items()}
    content = Checkpoint(trainer.card, arrays, statistics.constants(trainer.series),
                         climatology_of(trainer.card, trainer.statistics))
    checkpoints.write(weights, content, trainer.settings.training.weights)


def _move_on(trainer: Trainer, training: Training, phase: Phase) -> None:
    place = training.place
    place.epoch, place.batch, place.loss_sum = place.epoch + 1, 0, 0.0
    if place.epoch < phase.epochs and place.worse < trainer.settings.training.patience:
        return
    if place.epoch < phase.epochs:
        log.info("no better validation for %d epochs: the phase ends", place.worse)
    training.place = Place(phase=place.phase + 1, step=place.step)
    if training.best is not None:
        training.network.load_state_dict(training.best)
    training.optimiser = optimiser_of(training.network, trainer.settings)


class _Report:
    """A line now and then with the loss and the time left."""

    def __init__(self, trainer: Trainer, place: Place):
        self.trainer = trainer
        self.began = self.last = time.monotonic()
        self.left = trainer.steps_left(place)

    def line(self, place: Place) -> None:
        now = time.monotonic()
        if now - self.last < SECONDS_BETWEEN_LINES:
            return
        self.last = now
        left = self.trainer.steps_left(place)
        seconds = (now - self.began) / max(1.0, self.left - left) * left
        phases = self.trainer.settings.training.phases
        log.info("phase %d/%d epoch %d/%d batch %d/%d, loss %.4f, %s left", place.phase + 1, len(phases),
                 place.epoch + 1, phases[place.phase].epochs, place.batch, self.trainer.batch_count(place.phase),
                 place.loss_sum / place.batch, duration(seconds))


def _sizes(settings: Settings) -> dict:
    network = settings.network
    return {name: getattr(network, name) for name in network.__struct_fields__}


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)
