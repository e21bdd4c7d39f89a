"""Which samples each phase is made of, in which order, and how much of it is left: functions of the place alone."""

from dataclasses import dataclass

import numpy as np

from contracts.constants import HOUR
from contracts.errors import UserError
from networks.data.shards import Series
from networks.training import samples
from networks.training.config import Settings
from networks.training.schedule import learning_rate
from networks.training.task import Place, Task


@dataclass(frozen=True)
class Plan:
    """`windows` (sample, span + 1) of each phase: the numbers of the times of its samples."""

    settings: Settings
    windows: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, task: Task, series: Series, settings: Settings) -> "Plan":
        """Raises UserError where the shards do not hold a batch of each phase."""
        training = settings.training
        plan = cls(settings, tuple(windows_of(series, settings, task.span(phase)) for phase in training.phases))
        if not min(map(plan.batch_count, range(len(training.phases)))):
            raise UserError(
                f"{series.folder.folder}: holds {min(map(len, plan.windows))} samples for training, at least one batch "
                f"of {training.batch} is needed; it holds {series.span}"
            )
        return plan

    def batches(self, place: Place) -> list[np.ndarray]:
        """All batches of the epoch of `place`."""
        size, seed = self.settings.training.batch, self.settings.experiment.seed
        limit = self.settings.training.phases[place.phase].samples
        return samples.batches(self.windows[place.phase], size, seed, place.phase, place.epoch, limit)

    def batch_count(self, phase: int) -> int:
        training = self.settings.training
        return samples.batch_count(len(self.windows[phase]), training.batch, training.phases[phase].samples)

    def rate(self, place: Place) -> float:
        """The learning rate of the step at `place`."""
        phase, steps = self.settings.training.phases[place.phase], self.batch_count(place.phase)
        return learning_rate(phase, place.epoch * steps + place.batch, phase.epochs * steps)

    def cost_left(self, place: Place) -> float:
        """Batches times span still to be trained on, at most; the measure of time left."""
        here = self._cost(place.phase)
        epochs = self.settings.training.phases[place.phase].epochs
        left = ((epochs - place.epoch) * self.batch_count(place.phase) - place.batch) * here
        later = range(place.phase + 1, len(self.windows))
        return left + sum(self.settings.training.phases[n].epochs * self._cost(n) * self.batch_count(n) for n in later)

    def _cost(self, phase: int) -> int:
        return max(1, self.windows[phase].shape[1] - 1)


def windows_of(series: Series, settings: Settings, steps: int) -> np.ndarray:
    """(n, steps + 1): numbers of the times of all samples of `steps` steps inside one period of training."""
    step = settings.experiment.step_hours * HOUR
    return np.concatenate([series.starts(start, end, step, steps) for start, end in settings.periods])
