"""Extended forecasts: from the analyses of one time as far as they are of use, ten days for instance.

    TIME/forecast/006h/ensmean.nc  ensspread.nc       every model step, named by its lead
                  012h/m0001.nc …               the members where they were asked for

The files are states (`state/1`) with the coordinates `forecast_reference_time` and `forecast_period` of the CF
conventions; ensspread.nc of a lead appears last.  The backgrounds of the cycle are not touched.  After a kill it starts
again, leaves what is complete as it is, and the bits are the same.
"""

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Literal, get_args

import numpy as np

from contracts import members, paths, progress, times
from contracts.ensemble import refuse_insane, refuse_missing, write_statistics
from contracts.errors import UserError
from contracts.members import Form
from model_server import config, ensemble
from model_server.models.base import Batch, ForecastModel, advance

log = logging.getLogger("model_server.forecast")

Product = Literal["statistics", "members"]
PRODUCTS: tuple[Product, ...] = get_args(Product)


def extend(settings: config.Settings, model: ForecastModel, start: datetime, steps: int, write: Product) -> None:
    """Forecast `steps` model steps from the analyses of `start`; raises UserError where a member leaves its range."""
    if steps < 1:
        raise UserError(f"--steps must be at least 1, got {steps}")
    experiment, source = settings.experiment, settings.experiment.folder.at(start)
    folders = {lead: source.forecast(lead) for lead in (model.time_step * n for n in range(1, steps + 1))}
    kept = experiment.members if write == "members" else 0
    todo = [lead for lead, folder in folders.items() if not folder.is_complete(kept)]
    if not todo:
        log.info("%s: complete already", source.folder / "forecast")
        return
    refuse_missing(source.analysis, experiment.members, f"the analysis {times.name(start)}")
    batches = list(_batches(settings, model, start))
    leads = [lead for lead in folders if lead <= todo[-1]]
    for lead in progress.reported(leads, f"forecast from {times.name(start)}, steps", log):
        batches = [advance(model, batch) for batch in batches]
        fields = _members(batches, model, lead / model.time_step)
        if lead not in todo:
            continue
        if write == "members":
            form = Form(model.space, start + lead, experiment.name, experiment.one_file_of, start)
            with paths.side_by_side() as disk:
                members.write(folders[lead], range(1, experiment.members + 1), fields, form, disk)
        write_statistics(folders[lead], fields, model.space, start + lead, experiment.name, start)
    log.info("%s: %d members to %s", source.folder / "forecast", experiment.members, times.name(start + todo[-1]))


def _batches(settings: config.Settings, model: ForecastModel, start: datetime) -> Iterator[Batch]:
    source = settings.experiment.folder.at(start)
    for numbers in ensemble.chunks(range(1, settings.experiment.members + 1), settings.batch):
        yield ensemble.read(settings, model, source.analysis, numbers, start)


def _members(batches: list[Batch], model: ForecastModel, step: float) -> list[np.ndarray]:
    """The members in order; raises UserError where one is no state any more."""
    fields = [data for batch in batches for data in batch.data]
    for number, data in enumerate(fields, start=1):
        whose = f"member {number} at {times.name(batches[0].time)}, step {step:g} of an extended forecast"
        refuse_insane(data, model.space, whose)
    return fields
