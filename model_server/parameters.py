"""The parameters of the members of an experiment: drawn when it begins, then what the analyses make of them.

    [model.parameters]
    surface_drag = { mean = 1.4, spread = 0.2 }     a draw for each member, normal, cut to the parameter's range
    vapour_absorptivity = 0.8                       the same for all; parameters that are not named are as usual

Draws follow from (seed, member, name).  A forecast takes the members' parameters from `analysis/parameters.nc`, or,
where the analysis estimates none, from `background/parameters.nc`, and leaves them beside the next background.
"""

import zlib
from collections.abc import Mapping
from datetime import datetime

import numpy as np

from contracts import parameters
from contracts.errors import UserError
from contracts.parameters import Parameter, Parameters
from contracts.paths import EnsembleFolder
from model_server import models
from model_server.config import Drawn, Settings

STREAM = 7  # tells these draws from others of the same seed (`models.base`)


def chosen(name: str, values: Mapping[str, float | Drawn], section: str) -> tuple[Parameter, ...]:
    """The parameters of the model `name`; none where no `values` are given.

    Raises UserError where it has not got them, or where a value, or the mean of draws, is out of range.
    """
    if not values:
        return ()
    known = {parameter.name: parameter for parameter in models.parameters(name)}
    for key, value in values.items():
        if key not in known:
            raise UserError(f"[{section}.parameters]: unknown parameter {key!r} of the model {name}; it has "
                            f"{', '.join(known) or 'none'}")
        middle = value.mean if isinstance(value, Drawn) else value
        if not known[key].low <= middle <= known[key].high:
            raise UserError(f"[{section}.parameters]: expected {known[key]}, got {middle:g}")
    return tuple(known.values())


def of_one(name: str, values: Mapping[str, float], section: str) -> Parameters | None:
    """Of one run, such as a nature run; None where no values are given."""
    of = chosen(name, values, section)
    return Parameters(of, np.array([[values.get(one.name, one.usual) for one in of]])) if of else None


def first(settings: Settings) -> Parameters | None:
    """Of the first members; None where [model.parameters] names none."""
    asked = settings.model.parameters
    of = chosen(settings.model.name, asked, "model")
    if not of:
        return None
    columns = [_drawn(asked.get(one.name, one.usual), one, settings) for one in of]
    return Parameters(of, parameters.within(of, np.stack(columns, axis=1)))


def _drawn(asked: float | Drawn, parameter: Parameter, settings: Settings) -> np.ndarray:
    """(member,)"""
    members = range(1, settings.experiment.members + 1)
    if not isinstance(asked, Drawn):
        return np.full(len(members), asked)
    which = zlib.crc32(parameter.name.encode())
    draws = [np.random.default_rng((settings.experiment.seed, member, which, STREAM)).standard_normal()
             for member in members]
    return asked.mean + asked.spread * np.array(draws)


def read(settings: Settings, states: EnsembleFolder, time: datetime) -> Parameters | None:
    """Of all members of `states`, an analysis or a background of `time`; None where [model.parameters] names none.

    Raises ContractError where they are missing or those of another model.
    """
    of = chosen(settings.model.name, settings.model.parameters, "model")
    if not of:
        return None
    background = settings.experiment.folder.at(time).background
    path = states.parameters if states.parameters.exists() else background.parameters
    return parameters.read(path, time, settings.experiment.members, of)


def write(folder: EnsembleFolder, found: Parameters | None, time: datetime, experiment: str) -> None:
    """Beside the members of `folder`, before them: where a member stands its parameters do."""
    if found is not None:
        parameters.write(folder.parameters, found, time, experiment)
