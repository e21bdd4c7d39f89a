"""Scores of finished weights in the test period, and how far a free run stays inside the climate."""

import logging
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
import torch

from contracts import progress, times
from contracts.constants import HOUR
from contracts.errors import UserError
from networks import passes
from networks.data.shards import Series
from networks.emulator import Steps
from networks.training import loop, plan, validation
from networks.training.config import Settings
from networks.training.curves import SHOWN, write_table
from networks.training.task import Score
from networks.training.validation import REFERENCES

log = logging.getLogger("networks.skill")
FOLLOWED = ("temperature_500", "geopotential_500")  # their global means
PERCENTILES = (1.0, 99.0)
SAMPLED = 4  # every so many training states make the climate of global means: one a day
CPU = torch.device("cpu")


@dataclass(frozen=True)
class FreeRun:
    """Global means of the FOLLOWED channels, (time, channel), `step_hours` apart from the start on."""

    means: np.ndarray
    step_hours: int

    def days_inside(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """(channel,) days until the first mean outside low … high; infinite where all lie inside."""
        outside = ~((self.means >= low) & (self.means <= high))  # so that NaN is outside
        first = np.where(outside.any(axis=0), outside.argmax(axis=0), np.inf)
        return first * self.step_hours / 24


def report(settings: Settings, free_days: int) -> str:
    """Write skill.csv and drift.csv into the folder of the training; returns what they say, in Markdown.

    Raises UserError where the state lacks a field that is followed.
    """
    missing = set(FOLLOWED) - {channel.name for channel in settings.space.channels}
    if missing:
        raise UserError(f"[state] has no {' and no '.join(sorted(missing))}, whose global means tell how far the free "
                        "run drifts; score weights of a state that has them")
    data = loop.data_of(settings)
    step = passes.steps_of(passes.emulator_of(settings.weights, settings.space))
    assert settings.test is not None
    test = validation.of(data.series, settings, data.statistics, settings.test)
    scores = [*test.scores(step, CPU), *test.references()]
    write_table(settings.folder / "skill.csv", [field.name for field in fields(Score)], map(astuple, scores))
    run = free_run(step, data.series, int(test.windows[0, 0]), settings.experiment.step_hours, free_days)
    drift = [(number * run.step_hours / 24, *means) for number, means in enumerate(run.means)]
    write_table(settings.folder / "drift.csv", ["day", *FOLLOWED], drift)
    seen = data.series.seconds[test.windows[:, 0]]
    title = f"{len(seen)} forecasts from {times.name(times.from_seconds(seen[0]))} on"
    states = np.unique(plan.windows_of(data.series, settings, 1))
    low, high = climate(data.series, states[::SAMPLED])
    return "\n".join([title, "", *table(scores), "", *stay(run, low, high, free_days)])


def free_run(step: Steps, series: Series, start: int, hours: int, days: int) -> FreeRun:
    """Global means of a forecast of `days`, by steps of `hours`, from the state numbered `start`.

    It ends early if it is not finite.
    """
    state, seconds, means = torch.from_numpy(series.fields([start])), series.seconds[[start]], []
    for _ in progress.reported(range(days * 24 // hours + 1), "free run, steps", log):
        means.append(_global_means(state.numpy(), series)[0])
        if not np.isfinite(means[-1]).all():
            break
        state, seconds = step(state, seconds), seconds + hours * HOUR
    return FreeRun(np.array(means), hours)


def climate(series: Series, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(channel,) percentiles of the global means of the states `numbers`."""
    pieces = np.array_split(numbers, max(1, len(numbers) // 64))
    means = np.concatenate([_global_means(series.fields(piece), series)
                            for piece in progress.reported(pieces, "climate of global means", log)])
    low, high = np.percentile(means, PERCENTILES, axis=0)
    return low, high


def _global_means(states: np.ndarray, series: Series) -> np.ndarray:
    """(B, FOLLOWED)"""
    names = [channel.name for channel in series.space.channels]
    chosen = states[:, [names.index(name) for name in FOLLOWED]].astype(np.float64)
    return (chosen * series.space.grid.area_weights).mean(axis=(-2, -1))


def table(scores: Sequence[Score]) -> list[str]:
    """Markdown: RMSE and ACC of each lead beside the references', and the share below persistence."""
    found = {(score.channel, score.lead_hours, score.kind): score for score in scores}
    lines = ["| channel | lead h | RMSE | persistence | climatology | below persistence | ACC |",
             "|---|---|---|---|---|---|---|"]
    for channel in [name for name in SHOWN if any(score.channel == name for score in scores)]:
        for lead in sorted({score.lead_hours for score in scores}):
            forecast = found[channel, lead, "forecast"]
            still, mean = (found[channel, lead, kind].rmse for kind in REFERENCES)
            lines.append(f"| {channel} | {lead} | {forecast.rmse:.4g} | {still:.4g} | {mean:.4g} | "
                         f"{1 - forecast.rmse / still:.0%} | {forecast.acc:.3f} |")
    return lines


def stay(run: FreeRun, low: np.ndarray, high: np.ndarray, days: int) -> list[str]:
    """How long the free run stays inside the climate, a sentence for each field."""
    return [
        f"free run, global mean {name}: " + (f"leaves the climate's {low_:.5g} to {high_:.5g} after {inside:g} days"
                                             if np.isfinite(inside) else f"inside the climate's {low_:.5g} to "
                                             f"{high_:.5g} for all {days} days")
        for name, low_, high_, inside in zip(FOLLOWED, low, high, run.days_inside(low, high), strict=True)
    ]
