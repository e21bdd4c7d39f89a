"""What `python -m networks downscale` writes of one time.

    downscaled/ensspread.nc           the spread on the fine grid
    downscaled/m0001.nc …             members, where the weights are of members: the mean, a coarse one interpolated,
                                      and a draw of what is finer than the coarse anomaly of each
    downscaled/coarse/ensspread.nc    the spread on the coarse grid
    downscaled/guess/ensspread.nc     what bilinear interpolation and the map make of it

A file that is there is whole; the spread of the fine grid appears last.
"""

from collections.abc import Iterator
from datetime import datetime

import numpy as np

from contracts import ensemble, humidity, state, times
from contracts import members as in_files
from contracts.members import Form
from contracts.paths import EnsembleFolder, TimeFolder
from contracts.state import State, StateSpace
from networks.data import spreads
from networks.downscale import members as of_members
from networks.downscale.config import Settings
from networks.downscale.reading import Trained


def spread(settings: Settings, trained: Trained, time: datetime) -> None:
    """Of the spread alone; raises ContractError where the background's is not as it must be."""
    here, own = settings.experiment.folder.at(time), settings.space
    path = here.background.spread
    logarithm = spreads.logarithm(state.read(path, own, time).data, own, str(path))[None]
    if own.grid.is_same(trained.space.grid):
        logarithm = trained.cells(logarithm)
    given = trained.given(logarithm, times.to_seconds(time))
    fields = {here.downscaled_from("coarse"): (trained.coarse, logarithm),
              here.downscaled_from("guess"): (trained.space, trained.back(given.guess)),
              here.downscaled: (trained.space, trained.expected(given, settings.downscale.draws,
                                                                random(settings, time)))}
    for folder, (space, field) in fields.items():
        _write(folder, State(space, np.exp(field[0]), time), settings)


def members(settings: Settings, trained: Trained, time: datetime) -> None:
    """Of all members, one after the other; raises ContractError where one of them is not there."""
    here, experiment = settings.experiment.folder.at(time), settings.experiment
    count = experiment.members
    ensemble.refuse_missing(here.background, count, f"the background of {times.name(time)}")
    form = Form(trained.space, time, experiment.name, experiment.one_file_of)
    in_files.write(here.downscaled, range(1, count + 1), _drawn(settings, trained, time), form)
    written = ensemble.stored(here.downscaled, count, trained.space, time)
    ensemble.write_statistics(here.downscaled, written, trained.space, time, experiment.name)


def _drawn(settings: Settings, trained: Trained, time: datetime) -> Iterator[np.ndarray]:
    """(channel, lat, lon) on the fine grid, of each member in turn."""
    here, own = settings.experiment.folder.at(time), settings.space
    mean, humid = _mean(here, own, trained, time), humidity.humid(trained.space)
    for number in range(settings.experiment.members):
        coarse = of_members.anomalies(here.background, own, time, [number])
        if own.grid.is_same(trained.space.grid):
            coarse = trained.cells(coarse)
        drawn = trained.drawn(trained.given(coarse, times.to_seconds(time)), random(settings, time, number))[0]
        yield np.maximum(mean + drawn, np.where(humid, 0.0, -np.inf)[:, None, None])


def _mean(here: TimeFolder, own: StateSpace, trained: Trained, time: datetime) -> np.ndarray:
    """(channel, lat, lon) on the fine grid."""
    mean = state.read(here.background.mean, own, time).data
    if own.grid.is_same(trained.space.grid):
        return mean
    scales = trained.network.quantity.scales
    return trained.back(scales.bilinear(trained.tensor(mean)))


def random(settings: Settings, time: datetime, member: int = 0) -> np.random.Generator:
    """Of one time and member, whatever was made before it."""
    return np.random.default_rng((settings.experiment.seed, times.to_seconds(time), member))


def _write(folder: EnsembleFolder, found: State, settings: Settings) -> None:
    state.write(folder.spread, found, None, settings.experiment.name, "spread")
