"""The forecast model of an experiment, with the filter and the noise that [model] puts around it."""

from collections.abc import Sequence
from datetime import datetime

from contracts.errors import UserError
from contracts.state import StateSpace
from model_server import config, models
from model_server.models.base import ForecastModel, seen_by
from networks.unseen import refuse_times_of


def bare(settings: config.Settings) -> ForecastModel:
    """The model of [model] alone, on its own grid where that has one; raises UserError where it cannot be had."""
    chosen, space = settings.model, settings.space
    if chosen.grid is None:
        return models.create(chosen.name, chosen.options, space)
    from model_server.models.regridded import regridded  # here, because few experiments have two grids

    own = StateSpace(chosen.grid.grid(), space.channels)
    return regridded(models.create(chosen.name, chosen.options, own), space, chosen.before == "shifted")


def model_of(settings: config.Settings) -> ForecastModel:
    """The forecast model of the experiment; raises UserError where it cannot be had."""
    model = bare(settings)
    if settings.model.before != "written" and model.history == 1:
        raise UserError(f'[model] before = "{settings.model.before}": {model.name} needs no earlier state; leave it '
                        "out")
    return dressed_as(settings, model)


def dressed_as(settings: config.Settings, model: ForecastModel) -> ForecastModel:
    """`model` with the filter and the noise of [model]; raises UserError where it has seen times of the experiment."""
    refuse_seen(settings, model.name, seen_by(model))
    model, chosen = filtered_as(settings, model), settings.model.noise
    if isinstance(chosen, config.NoNoise):
        return model
    from model_server.models import noise  # here, because the archive takes h5py

    return noise.added(model, settings.model, chosen, settings.experiment)


def refuse_seen(settings: config.Settings, name: str, seen: Sequence[tuple[datetime, datetime]]) -> None:
    """Raises UserError where the model `name` was made from times of the experiment, first and last ones `seen`."""
    refuse_times_of(settings.model.unseen_in(settings.experiment), name, seen, "[model]")


def filtered_as(settings: config.Settings, model: ForecastModel) -> ForecastModel:
    """`model` with the filter of [model] alone."""
    if settings.model.spectral_filter is None:
        return model
    from model_server.models.filtered import filtered  # here, because scipy takes a while to import

    return filtered(model, settings.model.spectral_filter)
