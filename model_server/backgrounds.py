"""The backgrounds that follow the analyses of one time: made by `forecast` for that time, by `serve` for all.

Members that stand complete at the target are left alone, so that running it again after a kill goes on where it
stopped; each member's forecast depends on that member alone, so the bits are those of an uninterrupted run.

With a section [slots] the background's states around the next analysis time are kept too (`contracts.slots`); the
forecast then runs on beyond it, to the last slot.
"""

import logging
from collections.abc import Collection, Iterator
from datetime import datetime

import numpy as np

from contracts import members, paths, progress, times
from contracts.constants import HOUR
from contracts.ensemble import refuse_missing, write_statistics
from contracts.errors import UserError
from contracts.paths import EnsembleFolder
from model_server import config, ensemble, parameters
from model_server.models.base import ForecastModel, advance

log = logging.getLogger("model_server.forecast")


def is_complete(settings: config.Settings, time: datetime) -> bool:
    """Whether the backgrounds that follow `time` are there."""
    experiment = settings.experiment
    return experiment.folder.at(time + experiment.step).background.is_complete(experiment.members)


def write_background(settings: config.Settings, model: ForecastModel, time: datetime) -> None:
    """Write the backgrounds that follow the analyses of `time`: members, then their mean, then their spread."""
    experiment, targets = settings.experiment, targets_of(settings, model, time)
    valid = time + experiment.step
    target = experiment.folder.at(valid).background
    if is_complete(settings, time):
        log.info("%s: complete already", target.folder)
        return
    todo = sorted(set(range(1, experiment.members + 1)) - _made(targets, experiment.members))
    if todo:
        analysis = experiment.folder.at(time).analysis
        refuse_missing(analysis, experiment.members, f"the analysis {times.name(time)}")
        parameters.write(target, parameters.read(settings, analysis, time), valid, experiment.name)
    fields = _fields(settings, model, time, targets, todo)
    write_statistics(target, fields, model.space, valid, experiment.name)
    log.info("%s: %d members of %s, %d new", target.folder, experiment.members, model.name, len(todo))


def _made(targets: dict[int, EnsembleFolder], count: int) -> set[int]:
    """The members that stand complete in all of their places."""
    return set.intersection(*(members.there(target, count) for target in targets.values()))


def _fields(settings: config.Settings, model: ForecastModel, time: datetime, targets: dict[int, EnsembleFolder],
            todo: Collection[int]) -> Iterator[np.ndarray]:
    """The forecasts of all members in order, those `todo` made and written, the others read.

    When the last one was taken all of them are on the disk.
    """
    experiment = settings.experiment
    source, valid = experiment.folder.at(time), time + experiment.step
    target = experiment.folder.at(valid).background
    chunks = ensemble.chunks(range(1, experiment.members + 1), settings.batch)
    with paths.side_by_side() as disk:
        for chunk in progress.reported(chunks, f"forecast to {times.name(valid)}, batches of members", log):
            numbers = [number for number in chunk if number in todo]
            made: dict[int, np.ndarray] = {}
            if numbers:
                batch = ensemble.read(settings, model, source.analysis, numbers, time)
                for step in range(1, max(targets) + 1):
                    batch = advance(model, batch)
                    if batch.time == valid:
                        ensemble.write(target, batch, model, experiment, disk)
                        made = dict(zip(numbers, batch.data, strict=True))
                    elif step in targets:
                        ensemble.write(targets[step], batch, model, experiment, disk, states_only=True)
            others = members.read(target, [number for number in chunk if number not in made], model.space, valid)
            for number in chunk:
                yield made[number] if number in made else next(others).data
    for step, each in sorted(targets.items(), key=lambda item: item[1] == target):  # it says that all is there: last
        ensemble.settle(each, model, time + step * model.time_step, experiment)


def targets_of(settings: config.Settings, model: ForecastModel, time: datetime) -> dict[int, EnsembleFolder]:
    """Where members go after how many steps from the analysis of `time`: the next background and its slots.

    Raises UserError where the model gives no states at the slots, or the first is not after the analysis.
    """
    experiment, slots, steps = settings.experiment, settings.slots, steps_to_next(model, settings)
    background = experiment.folder.at(time + experiment.step).background
    if slots is None:
        return {steps: background}
    hours = model.time_step.total_seconds() / HOUR
    if slots.every % model.time_step:
        raise UserError(f"[slots] every_hours = {slots.every_hours:g} is no multiple of the {hours:g} h step of "
                        f"{model.name}, which has no states between: take every_hours = {hours:g}, a model or options "
                        'with a shorter step, or no [slots] and [analysis] time = "instant"')
    if -slots.offsets[0] >= experiment.step:
        raise UserError(f"[slots] window_hours begins {-slots.window_hours[0]:g} h before the analysis time, and the "
                        f"analysis before it is only {experiment.step_hours} h away: begin later")
    return {steps + offset // model.time_step: background.slot(offset) if offset else background
            for offset in slots.offsets}


def steps_to_next(model: ForecastModel, settings: config.Settings) -> int:
    """Model steps between two analysis times; raises UserError where they do not fit."""
    steps, rest = divmod(settings.experiment.step, model.time_step)
    if rest:
        raise UserError(
            f"[experiment] step_hours = {settings.experiment.step_hours} is no multiple of the "
            f"{model.time_step.total_seconds() / 3600:g} h step of {model.name}"
        )
    return steps
