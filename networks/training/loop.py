"""The training: phases of epochs of batches, each step

    the task's loss of a batch; its gradient, shortened to `gradient_norm`; a step of the optimiser at the phase's rate.

After each epoch unseen data decide whether these weights are the best of the phase; the best are written with their
card at once, so that they can serve while the training goes on.  A phase ends with its epochs or its patience and hands
its best weights to the next.  What is minimised, and of which network, says the task (`networks.training.task`).
"""

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from contracts.errors import UserError
from contracts.progress import SECONDS_BETWEEN_LINES, duration
from networks import checkpoint as checkpoints
from networks import kinds
from networks.data.shards import Series, ShardFolder
from networks.training import curves, plan, precision, samples, state, statistics
from networks.training.config import Phase, Settings
from networks.training.curves import Epoch, Record
from networks.training.optimiser import Optimiser
from networks.training.plan import Plan
from networks.training.state import Training
from networks.training.task import Batch, Data, Place, Task

log = logging.getLogger("networks.train")
GIGABYTE = 1e9


@dataclass(frozen=True)
class Trainer:
    """What does not change while training."""

    settings: Settings
    data: Data
    task: Task
    plan: Plan


def train(settings: Settings) -> Path:
    """Train to the end from wherever it stands; returns the path of the weights."""
    trainer = prepared(settings)
    training = fresh(trainer)
    where, weights = settings.folder / "state.pt", settings.weights
    if state.resume(where, training, settings):
        log.info("%s: goes on at phase %d epoch %d step %d", where, training.place.phase + 1,
                 training.place.epoch + 1, training.place.step)
    if not training.record.references:
        training.record = Record(references=tuple(trainer.task.references()))
    phases = settings.training.phases
    log.info("%d parameters, %d samples, %d batches an epoch", sum(p.numel() for p in training.network.parameters()),
             len(trainer.plan.windows[0]), trainer.plan.batch_count(0))
    while training.place.phase < len(phases):
        epoch(trainer, training, where)
        close_epoch(trainer, training, weights)
        state.write(where, training, settings)
    log.info("%s: done; scores in %s", weights, settings.folder / "scores.csv")
    return weights


def prepared(settings: Settings) -> Trainer:
    """Data, statistics and task; raises UserError where the shards do not hold the periods."""
    data = data_of(settings)
    task = kinds.module(settings.kind).make_task(settings, settings.sizes, data)
    return Trainer(settings, data, task, Plan.of(task, data.series, settings))


def data_of(settings: Settings) -> Data:
    """The shards and what they say of themselves, and where the training computes."""
    training, device = settings.training, _device(settings.training.device)
    if training.threads is not None:
        torch.set_num_threads(training.threads)
    chosen = precision.resolved(training.precision, device)
    if chosen == "tf32":
        torch.set_float32_matmul_precision("high")
    series = Series(ShardFolder(settings.shards_folder), settings.space, training.memory_gb * GIGABYTE)
    known = statistics.of(series, plan.windows_of(series, settings, 1), settings.folder / "statistics.npz")
    return Data(series, known, device, chosen)


def fresh(trainer: Trainer) -> Training:
    """The task's network as it begins, and its optimiser."""
    network = trainer.task.network.to(trainer.data.device)
    return Training(network, optimiser_of(trainer))


def optimiser_of(trainer: Trainer) -> Optimiser:
    training, task = trainer.settings.training, trainer.task
    return Optimiser(task.network, training.optimiser, training.weight_decay, task.roles)


def epoch(trainer: Trainer, training: Training, where: Path) -> None:
    """The batches of the present epoch that are still to be done."""
    place = training.place
    todo = trainer.plan.batches(place)[place.batch :]
    report, saved = _Report(trainer, place), time.monotonic()
    training.network.train()
    for batch in samples.read_ahead(trainer.data.series, todo):
        place.loss_sum += one_step(trainer, training, batch)
        place.batch += 1
        place.step += 1
        report.line(place)
        if time.monotonic() - saved >= 60 * trainer.settings.training.save_minutes:
            state.write(where, training, trainer.settings)
            saved = time.monotonic()


def one_step(trainer: Trainer, training: Training, batch: Batch) -> float:
    """One step of the optimiser; returns the loss."""
    place = training.place
    loss = trainer.task.loss(batch, place)
    value = loss.item()
    if not np.isfinite(value):
        raise UserError(
            f"the training loss is {value} at step {place.step} (phase {place.phase + 1}, epoch {place.epoch + 1}); "
            "lower its learning_rate; the last saved state is from before"
        )
    training.optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(training.network.parameters(), trainer.settings.training.gradient_norm)
    training.optimiser.step(trainer.plan.rate(place))
    return value


def close_epoch(trainer: Trainer, training: Training, weights: Path) -> None:
    """Validate, record, keep the best weights, and move to the next epoch or phase."""
    place, phases = training.place, trainer.settings.training.phases
    phase = phases[place.phase]
    training.network.eval()
    found = trainer.task.scores(place)
    mean = place.loss_sum / max(1, place.batch)
    rate = trainer.plan.rate(Place(place.phase, place.epoch, trainer.plan.batch_count(place.phase) - 1))
    span = trainer.task.span(phase)
    line = Epoch(place.phase + 1, place.epoch + 1, place.step, span, rate, mean, found.loss)
    training.record = training.record.plus(line, found.scores)
    log.info("phase %d/%d epoch %d/%d: training loss %.4f, validation loss %.4f%s", place.phase + 1, len(phases),
             place.epoch + 1, phase.epochs, mean, found.loss, ", best" if found.loss < place.best_loss else "")
    if found.loss < place.best_loss:
        place.best_loss, place.worse = found.loss, 0
        training.best = {name: tensor.cpu().clone() for name, tensor in training.network.state_dict().items()}
        checkpoints.write(weights, trainer.task.checkpoint(training.best), trainer.settings.training.weights)
    else:
        place.worse += 1
    curves.write(trainer.settings.folder, training.record)
    _move_on(trainer, training, phase)


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
    training.optimiser = optimiser_of(trainer)


class _Report:
    """A line now and then with the loss and the time left."""

    def __init__(self, trainer: Trainer, place: Place):
        self.trainer = trainer
        self.began = self.last = time.monotonic()
        self.left = trainer.plan.cost_left(place)

    def line(self, place: Place) -> None:
        now = time.monotonic()
        if now - self.last < SECONDS_BETWEEN_LINES:
            return
        self.last = now
        left = self.trainer.plan.cost_left(place)
        seconds = (now - self.began) / max(1.0, self.left - left) * left
        phases = self.trainer.settings.training.phases
        log.info("phase %d/%d epoch %d/%d batch %d/%d, loss %.4f, %s left", place.phase + 1, len(phases),
                 place.epoch + 1, phases[place.phase].epochs, place.batch, self.trainer.plan.batch_count(place.phase),
                 place.loss_sum / place.batch, duration(seconds))


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)
