"""The ensemble forecast of a cycle: analyses at one time -> backgrounds at the next.

Members that stand complete at the target are left alone, so that running it again after a kill goes on where it
stopped; each member's forecast depends on that member alone, so the bits are those of an uninterrupted run.
"""

import logging
from collections.abc import Sequence
from datetime import datetime

from contracts import program, times
from contracts.errors import UserError
from model_server import config, ensemble, models, progress
from model_server.models.base import ForecastModel

log = logging.getLogger("model_server.forecast")


def main(arguments: Sequence[str]) -> None:
    parser = program.parser(
        "python -m model_server forecast",
        "Forecast every member from TIME/analysis to the background of the next analysis time.",
        "python -m model_server forecast run/experiments/twin_speedy.toml 1989010106",
    )
    program.add_experiment(parser)
    parser.add_argument("time", metavar="TIME", type=str, help="time of the analysis, YYYYMMDDHH in UTC")
    parser.add_argument("--steps", type=int, metavar="N",
                        help="model steps (default: as many as lead to the next analysis time)")  # fmt: skip
    options = parser.parse_args(arguments)
    settings, time = config.load(options.experiment), times.parse(options.time)
    program.log_to_file(settings.experiment.folder.at(time).log("forecast"))
    forecast(settings, time, options.steps)


def forecast(settings: config.Settings, time: datetime, steps: int | None = None) -> None:
    """Write the backgrounds that follow the analyses of `time`, with their mean and spread."""
    model = models.create(settings.model.name, settings.model.options, settings.space)
    steps = steps_to_next(model, settings) if steps is None else steps
    if steps < 1:
        raise UserError(f"--steps must be at least 1, got {steps}")
    folder, count, name = settings.experiment.folder, settings.experiment.members, settings.experiment.name
    valid = time + steps * model.time_step
    source, target = folder.at(time), folder.at(valid).background

    todo = [number for number in range(1, count + 1) if not target.member(number).exists()]
    if len(todo) < count:
        log.info("%s: %d of %d members are complete already", target.folder, count - len(todo), count)
    if todo:
        ensemble.refuse_missing(source.analysis.members(count), f"the analysis {times.name(time)}")
    chunks = ensemble.chunks(todo, settings.model.batch)
    for numbers in progress.reported(chunks, f"forecast to {times.name(valid)}, batches of members", log):
        batch = ensemble.read(source.analysis, source.background, numbers, model, time)
        for _ in range(steps):
            batch = model.step(batch)
        ensemble.write(target, numbers, batch, model, name)
    if todo or not target.is_complete(count):
        members = ensemble.stored(target, count, settings.space, valid)
        ensemble.write_statistics(target, members, settings.space, valid, name)
    log.info("%s: %d members of %s, %d new", target.folder, count, model.name, len(todo))


def steps_to_next(model: ForecastModel, settings: config.Settings) -> int:
    """Model steps between two analysis times; raises UserError where they do not fit."""
    steps, rest = divmod(settings.experiment.step, model.time_step)
    if rest:
        raise UserError(
            f"[experiment] step_hours = {settings.experiment.step_hours} is no multiple of the "
            f"{model.time_step.total_seconds() / 3600:g} h step of {model.name}"
        )
    return steps
