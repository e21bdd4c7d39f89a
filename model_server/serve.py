"""The forecasts of all times of an experiment by one process, which loads the model once.

A process for each cycle spends far longer on imports and on loading weights than on computing.  With --follow it stays
alive: at each time it waits until the analysis is complete, writes the backgrounds of the next time, and waits again.
The bits are those of the command `forecast`; times whose backgrounds are complete are passed over.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial

from contracts import frozen, program, times
from contracts.config import Experiment
from contracts.follow import Follower
from model_server import backgrounds, config, environment
from model_server.chosen import model_of

log = logging.getLogger("model_server.serve")


def main(arguments: Sequence[str]) -> None:
    parser = program.parser(
        "python -m model_server serve",
        "Forecast from every complete analysis to the background of the next time, in order, and end; with --follow\n"
        "wait for each analysis, to the end of the experiment. SIGTERM or a file `stop` in the experiment's folder\n"
        "ends it after the forecast in hand.",
        "python -m model_server serve run/experiments/twin_speedy.toml --follow",
    )
    program.add_experiment(parser)
    parser.add_argument("--follow", action="store_true", help="wait for analyses that are not there yet")
    options = parser.parse_args(arguments)
    settings = environment.load(options.experiment)
    frozen.refuse_other(options.experiment, settings.experiment)
    serve(settings, options.follow)


def serve(settings: config.Settings, follow: bool) -> None:
    """Write all backgrounds that can be made, or, with `follow`, all of them. Raises Stopped if asked to end."""
    experiment, complete = settings.experiment, partial(backgrounds.is_complete, settings)
    todo = [time for time in experiment.times() if not complete(time)]
    if not todo:
        log.info("%s: all forecasts are complete already", experiment.folder.folder)
        return
    with Follower(experiment, log.name) as follower:
        model = model_of(settings)
        log.info("%s is ready, %d forecasts to make", model.name, len(todo))
        for time in follower.each_time(experiment.times() if follow else _analysed(experiment, todo),
                                       ready=partial(_is_analysed, experiment), made=complete, done=complete,
                                       what="the analysis"):
            with program.logging_to_file(experiment.folder.at(time).log("forecast")):
                backgrounds.write_background(settings, model, time)


def _is_analysed(experiment: Experiment, time: datetime) -> bool:
    return experiment.folder.at(time).departures.exists()  # written last


def _analysed(experiment: Experiment, todo: Iterable[datetime]) -> Iterator[datetime]:
    """Times up to the first without an analysis, which is told."""
    for time in todo:
        if not _is_analysed(experiment, time):
            log.info("no complete analysis of %s yet; --follow waits for it", times.name(time))
            return
        yield time
