"""Deterministic forecasts: one model carries the mean of the analyses of several experiments as far as they are of use.

    FOLDER/forecasts/NAME/TIME/deterministic/024h.nc      from the analyses of NAME at TIME, 24 hours later
    FOLDER/forecasts/model.json                           by which model; another one is refused

Two of the same time differ by the analysis that they began with and by nothing else, so that a league compares analyses
by them.  The model is that of an experiment file, without its noise; of a network that draws its own errors all
experiments get the same draws.  Experiments at one time are the members of a batch.

After a kill only what is missing is made, and the bits are the same; a forecast that is older than its analysis is made
again.  A forecast that leaves its range is told and not written, and the others go on.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np

from contracts import paths, program, progress, state, texts, times
from contracts.config import Experiment
from contracts.constants import HOUR
from contracts.ensemble import refuse_insane
from contracts.errors import UserError
from contracts.paths import ExperimentFolder, LeagueFolder
from contracts.state import State
from model_server import config, ensemble, environment
from model_server.chosen import bare, filtered_as, refuse_seen
from model_server.models import archive
from model_server.models.base import Batch, ForecastModel, NatureModel, Restart, advance, seen_by

log = logging.getLogger("model_server.forecast")


@dataclass(frozen=True)
class Source:
    """An experiment, whose analyses are begun with, and where its forecasts go."""

    experiment: Experiment
    target: ExperimentFolder

    def analysis(self, time: datetime) -> Path:
        return self.experiment.folder.at(time).analysis.mean

    def lacks(self, start: datetime, leads: Sequence[timedelta]) -> bool:
        """Whether there is an analysis and a forecast from it is missing or older."""
        if not self.analysis(start).exists():
            return False
        made = self.analysis(start).stat().st_mtime_ns
        files = [self.target.at(start).deterministic(lead) for lead in leads]
        return not all(path.exists() and path.stat().st_mtime_ns >= made for path in files)


def main(arguments: Sequence[str]) -> None:
    parser = program.parser(
        "python -m model_server deterministic",
        "Forecast the mean of the analyses of each experiment by the model of EXPERIMENT.toml, without its noise,\n"
        "into FOLDER/forecasts/NAME/TIME/deterministic/024h.nc, …; where there is no analysis yet there is none.",
        "python -m model_server deterministic run/experiments/league/letkf_600km.toml --into work/mine \\\n"
        "      --of run/experiments/year/climax_800km.toml --starts 1992011100 1992011600 --leads 24 72 120",
    )
    program.add_experiment(parser)
    parser.add_argument("--into", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--of", type=Path, nargs="+", required=True, metavar="EXPERIMENT.toml", help="whose analyses")
    parser.add_argument("--starts", type=times.parse, nargs="+", required=True, metavar="TIME")
    parser.add_argument("--leads", type=int, nargs="+", required=True, metavar="HOURS")
    chosen = parser.parse_args(arguments)
    settings, folder = environment.load(chosen.experiment), LeagueFolder(chosen.into)
    begun = [config.load(path) for path in chosen.of]
    model = model_for(settings, begun)
    leads = leads_of(model, chosen.leads)
    note(folder, model, settings)
    sources = [Source(each, folder.of(each.name)) for each in fitting(model, begun)]
    for start in chosen.starts:
        for source in sources:
            source.experiment.refuse_other(start)
    for start in progress.reported(chosen.starts, "deterministic forecasts, starts", log):
        lacking = [source for source in sources if source.lacks(start, leads)]
        for some in ensemble.chunks(lacking, settings.batch):
            forecast(model, some, start, leads)
    log.info("%s: %d experiments, %d starts", folder.model.parent, len(sources), len(chosen.starts))


def model_for(settings: config.Settings, begun: Sequence[config.Settings]) -> ForecastModel:
    """The model of `settings` without noise, for the times of the experiments `begun`; raises UserError where it has
    seen them or cannot begin with a mean."""
    model = bare(settings)
    if isinstance(model, NatureModel):
        raise UserError(f"{model.name} keeps a state of its own, which no mean of members has; name an experiment "
                        "whose model begins with fields, such as climax")
    for each in begun:
        refuse_seen(msgspec.structs.replace(settings, experiment=each.experiment), model.name, seen_by(model))
    return filtered_as(settings, model)


def fitting(model: ForecastModel, begun: Sequence[config.Settings]) -> list[Experiment]:
    """Those whose states have the grid and the channels of `model`; the others are told."""
    fit = []
    for each in begun:
        missing = [channel.name for channel in model.space.channels if channel not in each.space.channels]
        if missing or each.space.grid != model.space.grid:
            log.warning("%s: its states have no %s, which %s needs; there are no forecasts of it", each.experiment.name,
                        ", ".join(missing) or model.space.grid, model.name)
        else:
            fit.append(each.experiment)
    return fit


def leads_of(model: ForecastModel, hours: Sequence[int]) -> list[timedelta]:
    """In order; raises UserError where one is no number of steps of the model."""
    leads = [timedelta(hours=each) for each in sorted(set(hours))]
    if bad := [each // timedelta(hours=1) for each in leads if each <= timedelta() or each % model.time_step]:
        raise UserError(f"a lead of {bad[0]} h is no number of steps of {model.name}, of "
                        f"{model.time_step.total_seconds() / HOUR:g} h; name leads that are")
    return leads


def note(folder: LeagueFolder, model: ForecastModel, settings: config.Settings) -> None:
    """Say by which model the forecasts of `folder` are; raises UserError where those there are by another."""
    made = archive.of_model(model, settings.model)
    if not folder.model.exists():
        with paths.atomic(folder.model) as partial:
            partial.write_text(json.dumps(made, indent=1) + "\n")
    elif (kept := texts.record(folder.model)) != made:
        name = next(name for name in (*made, *kept) if made.get(name) != kept.get(name))
        raise UserError(f"{folder.model.parent}: holds forecasts by a model with {name} = {kept.get(name)!r}, asked "
                        f"for {made.get(name)!r}; one model makes all: remove this folder to make them anew")


def forecast(model: ForecastModel, sources: Sequence[Source], start: datetime, leads: Sequence[timedelta]) -> None:
    """Write the forecasts of `sources` from `start` at all `leads`, which ascend."""
    batch = _begin(model, sources, start)
    for lead in leads:
        while batch.time < start + lead:
            batch = advance(model, batch)
        for source, data in zip(sources, batch.data, strict=True):
            whose = f"the forecast of {source.experiment.name} from {times.name(start)}, {lead // timedelta(hours=1)} h"
            try:
                refuse_insane(data, model.space, whose)
            except UserError as error:
                log.warning("%s; it is not written", error)
                continue
            state.write(source.target.at(start).deterministic(lead), State(model.space, data, batch.time),
                        experiment=source.experiment.name, start=start)


def _begin(model: ForecastModel, sources: Sequence[Source], start: datetime) -> Batch:
    """The means at `start`, each as member 1, so that what is drawn for one is drawn for all."""
    data = _means(model, sources, start)
    before = None
    if model.history == 2:
        earlier = start - model.time_step
        begun = all(source.experiment.start <= earlier for source in sources)
        before = _means(model, sources, earlier) if begun else data  # as when an experiment begins
    kept: Restart | None = {} if model.keeps_restart else None
    return Batch(start, data, (kept,) * len(sources), (1,) * len(sources), before=before)


def _means(model: ForecastModel, sources: Sequence[Source], time: datetime) -> np.ndarray:
    """(source, channel, lat, lon)"""
    return np.stack([state.read(source.analysis(time), model.space, time).data for source in sources])
