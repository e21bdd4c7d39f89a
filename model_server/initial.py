"""The initial ensemble: states of a nature run at different times, all taken to be valid at the start, or states of
the real atmosphere (`beginnings`).

States of the climate, 12 h apart, know nothing of the weather to be analysed and differ among themselves as
weather does: the ensemble's mean is a climatology and its spread the climate's variance.  A model that keeps a
state of its own gets it from the nature run's restarts, at its own resolution.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from contracts import members, program, state, static, times
from contracts.constants import HOUR
from contracts.ensemble import stored, write_statistics
from contracts.errors import UserError
from contracts.nature import NatureFolder
from contracts.static import Static
from model_server import config, ensemble, environment, parameters, restart
from model_server.chosen import bare, dressed_as
from model_server.models.base import Batch, ForecastModel, NatureModel

log = logging.getLogger("model_server.initial")


def main(arguments: Sequence[str]) -> None:
    parser = program.parser(
        "python -m model_server initial",
        "Make the first background ensemble and static.nc from the nature run, or the states, that [initial] names.",
        "python -m model_server initial run/experiments/twin_speedy.toml",
    )
    program.add_experiment(parser)
    initial(environment.load(parser.parse_args(arguments).experiment))


def initial(settings: config.Settings) -> None:
    """Write <start>/background with mean and spread, and the experiment's static.nc."""
    experiment = settings.experiment
    start, target = experiment.times()[0], experiment.folder.at(experiment.times()[0]).background
    todo = sorted(set(range(1, experiment.members + 1)) - members.there(target, experiment.members))
    if target.is_complete(experiment.members) and experiment.folder.static.exists():
        log.info("%s: complete already", target.folder)
        return
    model = bare(settings)
    carried = dressed_as(settings, model)
    parameters.write(target, parameters.first(settings), start, experiment.name)
    begins = _of_states if settings.initial.source == "states" else _of_nature
    begun, lacking = begins(settings, model, start), 0
    for numbers in ensemble.chunks(todo, settings.batch):
        past = [begun.past(number) for number in numbers] if begun.past is not None else []
        lacking += sum(one is None for one in past)
        batch = replace(begun.batch(numbers), members=tuple(numbers))
        ensemble.write(target, batch, carried, experiment, before=past)
    ensemble.settle(target, carried, start, experiment)
    static.write(experiment.folder.static, begun.static, experiment.name)
    fields = stored(target, experiment.members, settings.space, start)
    write_statistics(target, fields, settings.space, start, experiment.name)
    log.info("%s: %d members, %s", target.folder, experiment.members, begun.told)
    if begun.past is not None:
        log.info("%s", _of_past(model, lacking, len(todo)))


@dataclass(frozen=True)
class _Begun:
    """A first ensemble: batches of members by their numbers from 1, the static fields, words for the log.

    For a model that needs two states `past` is what a member was one step earlier, or None where that is not there.
    """

    batch: Callable[[Sequence[int]], Batch]
    static: Static
    told: str
    past: Callable[[int], np.ndarray | None] | None = None


def _of_nature(settings: config.Settings, model: ForecastModel, start: datetime) -> _Begun:
    nature = NatureFolder(settings.initial_folder)
    sources = sources_of(settings, nature, settings.experiment.members)

    def past(number: int) -> np.ndarray | None:
        time = sources[number - 1] - model.time_step
        return state.read(nature.state(time), model.space, time).data if nature.state(time).exists() else None

    of_nature = isinstance(model, NatureModel)
    return _Begun(lambda numbers: begin_as(nature, [sources[number - 1] for number in numbers], model, start),
                  model.static if isinstance(model, NatureModel) else static.read(nature.static, settings.space.grid),
                  f"nature run of {times.name(sources[0])} to {times.name(sources[-1])}",
                  None if model.history == 1 or of_nature else past)


def _of_states(settings: config.Settings, model: ForecastModel, start: datetime) -> _Begun:
    from model_server import beginnings  # here, because what reads files of others takes a while to load

    if isinstance(model, NatureModel):
        raise UserError(f'[initial] source = "states": {model.name} keeps a state of its own, which only its own '
                        'nature run has; take source = "nature", or a model that begins from fields')
    chosen = beginnings.of(settings, start)
    earlier = chosen.earlier(model.time_step)
    return _Begun(lambda numbers: Batch(start, chosen.members(numbers), (None,) * len(numbers)), chosen.static(),
                  f"states of {times.name(min(chosen.dates))} to {times.name(max(chosen.dates))}",
                  None if model.history == 1 else
                  lambda number: earlier.members([number])[0] if earlier.holds(number) else None)


def _of_past(model: ForecastModel, lacking: int, written: int) -> str:
    """Words for the log: where the earlier of the two first states comes from."""
    hours = model.time_step.total_seconds() / HOUR
    but = f", but of {lacking} of {written} members, which begin with the first analysis twice" if lacking else ""
    return f"{model.name} begins with two states, the one {hours:g} h earlier from there{but}"


def sources_of(settings: config.Settings, nature: NatureFolder, members: int) -> list[datetime]:
    """The time in the nature run of each of `members`; raises UserError where the run does not hold them all."""
    first = settings.initial.first or settings.nature_start
    apart = timedelta(hours=settings.initial.every_hours)
    wanted = [first + i * apart for i in range(members)]
    there = [nature.state(time).exists() for time in wanted]
    if all(there):
        return wanted
    fewer = there.index(False)
    packed = settings.nature.packed and not settings.initial.folder and fewer >= 2
    raise UserError(
        f"{nature.state(wanted[fewer])}: no such file; [initial] needs states of the nature run from "
        f"{times.name(wanted[0])} to {times.name(wanted[-1])}, {there.count(False)} of {len(wanted)} are missing "
        + (f"in {settings.nature.packed}, which gives at most {fewer} members with [initial] every_hours = "
           f"{settings.initial.every_hours}: set [experiment] members = {fewer}" if packed else
           "(python -m model_server nature makes them)")
    )


def begin_as(nature: NatureFolder, sources: list[datetime], model: ForecastModel, start: datetime) -> Batch:
    """One member from each time of the nature run, valid at `start`."""
    if isinstance(model, NatureModel):
        kind = model.name.split("-")[0]
        return model.adopt([restart.read(nature.restart(time), kind, time).own for time in sources], start)
    data = np.stack([state.read(nature.state(time), model.space, time).data for time in sources])
    return Batch(start, data, (None,) * len(sources))
