"""Draws from a climate as state files, in a folder like that of a nature run.

    x_i = m(t_i) + factor s C^(1/2) n_i,   n_i ~ N(0, I) from (seed, t_i)        t_i = first + i every_hours

Whatever takes states of a climate takes them: first ensembles (`[initial] folder`), static sets of a hybrid covariance
(`[analysis.static] states`), additive inflation.  A draw is not weather: it has the climate's covariances and knows of
nothing else.  Humidity that would be negative is zero.  Files that are there stay, so that a killed command goes on.
"""

import logging
from datetime import datetime

import numpy as np

from contracts import humidity, paths, progress, state, static
from contracts.nature import NatureFolder
from contracts.state import State
from networks.climate.config import Draws, Settings
from networks.climate.gaussian import Climate

log = logging.getLogger("networks.climate")


def write(climate: Climate, settings: Settings, chosen: Draws) -> None:
    """Write those of `chosen` that are not there yet, and the fixed fields of the first nature run beside them."""
    folder = NatureFolder(settings.in_work(chosen.folder))
    todo = [time for time in chosen.times() if not folder.state(time).exists()]
    humid, negative = humidity.humid(climate.space), 0
    with paths.side_by_side() as disk:
        for time in progress.reported(todo, "draws", log):
            drawn = draw(climate, time, chosen.seed, chosen.factor)
            data, count = humidity.not_negative(drawn.reshape(1, len(drawn), -1), humid)
            negative += int(count.sum())
            made = State(climate.space, data.reshape(drawn.shape), time)
            state.write(folder.state(time), made, experiment=settings.experiment.name, disk=disk)
    if not folder.static.exists():
        nature = NatureFolder(settings.in_work(settings.climate.natures[0]))
        static.write(folder.static, static.read(nature.static, settings.space.grid), settings.experiment.name)
    log.info("%s: %d draws, %d new; %d humidities were negative and are zero", folder.folder, chosen.count, len(todo),
             negative)


def draw(climate: Climate, time: datetime, seed: int, factor: float) -> np.ndarray:
    """x_i float32 (channel, lat, lon)."""
    random = np.random.default_rng((seed, int(time.strftime("%Y%m%d%H%M%S"))))
    deviation = climate.draw(random.standard_normal(climate.space.shape, climate.scale.dtype))
    return (climate.mean(time) + factor * deviation).astype(np.float32)
