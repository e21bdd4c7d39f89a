"""All that can be wrong with the settings of forecasts and nature runs, before anything is made with them."""

from pathlib import Path

from contracts.nature import Nature
from model_server import beginnings, environment, models, parameters
from model_server.chosen import refuse_seen
from model_server.config import Settings, load
from model_server.nature import is_asked_for


def validate(path: Path) -> Settings:
    """The experiment file; raises UserError where it is wrong, a model's own options or libraries too."""
    settings = load(path)
    models.check(settings.model.name, settings.model.options, "model")
    environment.refuse_absent(settings.model)
    refuse_seen(settings, settings.model.name, models.seen(settings.model.name, settings.model.options))
    parameters.chosen(settings.model.name, settings.model.parameters, "model")
    if settings.initial.source == "states":
        beginnings.of(settings, settings.experiment.times()[0])
    if settings.nature != Nature() and not settings.nature.packed and is_asked_for(settings, path):
        models.check(settings.nature.model, settings.nature.options, "nature")
        parameters.chosen(settings.nature.model, settings.nature.parameters, "nature")
    return settings
