"""The free ensemble: from the first background through all times of the experiment without any analysis.

What an assimilation gains is the distance between its analyses and this ensemble, so only mean and spread are
kept.  One process runs it through; after a kill it starts again, and the bits are the same.
"""

import logging
from collections.abc import Iterable, Sequence

import numpy as np

from contracts import program, progress, times
from contracts.ensemble import refuse_insane, refuse_missing, write_statistics
from model_server import config, ensemble, environment
from model_server.backgrounds import steps_to_next
from model_server.chosen import model_of
from model_server.models.base import Batch, ForecastModel, advance

log = logging.getLogger("model_server.free")


def main(arguments: Sequence[str]) -> None:
    parser = program.parser(
        "python -m model_server free",
        "Run the first background ensemble through all times without analysis; write mean and spread to free/TIME.",
        "python -m model_server free run/experiments/twin_speedy.toml",
    )
    program.add_experiment(parser)
    free(environment.load(parser.parse_args(arguments).experiment))


def free(settings: config.Settings) -> None:
    """Write free/<time>/ensmean.nc and ensspread.nc for every time of the experiment."""
    experiment = settings.experiment
    todo = [time for time in experiment.times() if not experiment.folder.free(time).is_complete(0)]
    if not todo:
        log.info("%s: complete already", experiment.folder.folder / "free")
        return
    model = model_of(settings)
    steps = steps_to_next(model, settings)
    start, *later = [time for time in experiment.times() if time <= todo[-1]]
    first = experiment.folder.at(start).background
    refuse_missing(first, experiment.members, f"the first background {times.name(start)}")
    numbers = range(1, experiment.members + 1)
    batches = [ensemble.read(settings, model, first, some, start) for some in ensemble.chunks(numbers, settings.batch)]
    _write(settings, batches, model)
    for _ in progress.reported(later, "free ensemble, times", log):
        for _ in range(steps):
            batches = [advance(model, batch) for batch in batches]
        _write(settings, batches, model)
    log.info("%s: %d times", experiment.folder.folder / "free", len(later) + 1)


def _write(settings: config.Settings, batches: list[Batch], model: ForecastModel) -> None:
    time = batches[0].time
    for number, data in enumerate(_members(batches), start=1):
        refuse_insane(data, model.space, f"free member {number} at {times.name(time)}")
    folder = settings.experiment.folder.free(time)
    write_statistics(folder, _members(batches), model.space, time, settings.experiment.name)


def _members(batches: list[Batch]) -> Iterable[np.ndarray]:
    return (data for batch in batches for data in batch.data)
