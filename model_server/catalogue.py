"""A catalogue: runs of one model with parameters from all over their ranges, to learn from what they do.

    [catalogue]
    folder = "catalogue_t21"            in the work folder
    runs = 40                           their parameters are a Latin hypercube
    days = 90
    begin = [1987-12-01T00:00:00Z]      times of states of the run of [nature], in turn

    <folder>/run0001/1987120100.nc …  static.nc  parameters.nc       each run as a nature run leaves it
            /run0002/…

The model and its options are those of [model].  A run that was killed goes on from its last state, with the same bits.
Latin hypercube: McKay, Beckman & Conover (1979), Technometrics 21, 239.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
import numpy as np
from scipy.stats import qmc

from contracts import config, parameters, program, progress, static
from contracts.config import NotNegative, Positive
from contracts.errors import UserError
from contracts.nature import NatureFolder, refuse_part_of_an_hour
from contracts.parameters import Parameter, Parameters
from model_server import initial, models, nature
from model_server.config import Settings as OfModel
from model_server.models.base import NatureModel, advance, begun

log = logging.getLogger("model_server.catalogue")


class Catalogue(config.Section, frozen=True):
    """[catalogue] Runs over the ranges of the model's parameters."""

    folder: str
    begin: Annotated[tuple[datetime, ...], msgspec.Meta(min_length=1)]  # states of the nature run, taken in turn
    runs: Positive = 40
    days: Positive = 90
    every_hours: Positive = 12  # between states that are kept
    seed: NotNegative = 1  # of the Latin hypercube

    def __post_init__(self):
        for time in self.begin:
            refuse_part_of_an_hour("begin", time)


class Settings(OfModel, frozen=True):
    """What the command reads of an experiment file."""

    catalogue: Catalogue | None = None


@dataclass(frozen=True)
class Run:
    """One run: where it is kept, which state of the nature run it begins with, and its parameters."""

    folder: NatureFolder
    begin: datetime
    end: datetime
    own: Parameters


def main(arguments: Sequence[str]) -> None:
    parser = program.parser(
        "python -m model_server catalogue",
        "Make or go on with the runs of the section [catalogue]: one model, parameters from all over their ranges.",
        "python -m model_server catalogue run/experiments/latent/catalogue_t21.toml",
    )
    program.add_experiment(parser)
    catalogue(config.load(parser.parse_args(arguments).experiment, Settings))


def catalogue(settings: Settings) -> None:
    """Make what is missing of all runs; raises UserError where the model has no parameters or cannot begin a run."""
    todo = [run for run in runs(settings) if not run.folder.restart(run.end).exists()]
    if not todo:
        log.info("the catalogue is complete already")
        return
    model = models.create_nature(settings.model.name, settings.model.options, settings.space, "model")
    for run in progress.reported(todo, "catalogue, runs", log):
        _go_on(run, model, settings)
    log.info("%d runs, %d new", len(runs(settings)), len(todo))


def runs(settings: Settings) -> list[Run]:
    """All runs of the catalogue; raises UserError where there is no section or the model has no parameters."""
    asked, of = settings.catalogue, models.parameters(settings.model.name)
    if asked is None:
        raise UserError("no section [catalogue]: name its folder, begin, runs and days")
    if not of:
        raise UserError(f"[catalogue]: the model {settings.model.name} has no parameters; choose speedy")
    folder, days = settings.experiment.in_work(asked.folder), timedelta(days=asked.days)
    begin = [time.astimezone(UTC) for time in asked.begin]
    return [Run(NatureFolder(folder / f"run{number + 1:04d}"), begin[number % len(begin)],
                begin[number % len(begin)] + days, Parameters(of, values[None]))
            for number, values in enumerate(hypercube(of, asked.runs, asked.seed))]


def hypercube(of: tuple[Parameter, ...], count: int, seed: int) -> np.ndarray:
    """(count, parameter) within their ranges: in each of `count` equal parts of each range one value."""
    shares = qmc.LatinHypercube(len(of), rng=seed).random(count)
    return np.array([one.low for one in of]) + shares * [one.width for one in of]


def _go_on(run: Run, model: NatureModel, settings: Settings) -> None:
    assert settings.catalogue is not None
    every = timedelta(hours=settings.catalogue.every_hours)
    _refuse_other(run)
    static.write(run.folder.static, model.static)
    batch = nature.last(run.folder, model, run.end, settings.catalogue.seed)
    if batch is None:
        source = NatureFolder(settings.nature_folder)
        batch = begun(model, initial.begin_as(source, [run.begin], model, run.begin), nature.MEMBERS,
                      settings.catalogue.seed)
        parameters.write(run.folder.parameters, run.own, run.begin)
        nature.keep(run.folder, batch, model, run.begin)
    batch = replace(batch, parameters=run.own.values)
    while batch.time < run.end:
        batch = advance(model, batch)
        if (batch.time - run.begin) % every == timedelta():
            nature.keep(run.folder, batch, model, run.begin)
            for earlier in run.folder.restarts()[:-1]:
                run.folder.restart(earlier).unlink()


def _refuse_other(run: Run) -> None:
    """A folder holds one run: raises UserError where another is in it."""
    path = run.folder.parameters
    if path.exists() and not np.array_equal(parameters.read(path, run.begin, 1, run.own.of).values, run.own.values):
        raise UserError(f"{path}: holds a run with other parameters than [catalogue] asks for; choose another folder, "
                        "or remove this one")
