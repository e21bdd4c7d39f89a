"""A work folder with weather and stations, and an experiment file: what the tests of forecasts from observations
share."""

from pathlib import Path

import numpy as np

from networks.o2f.stations import Known
from tests.networks import training_case
from tests.networks.o2l import made

NETWORK = """\
kind = "o2f"
footprints = "footprints/many.nc"
withheld = 0.2
dropped = 0.3
memory = 2
widths = [8, 12]
blocks = 1"""
TRAINING = """\
leads_hours = [6, 12]
validation_samples = 4
weights = "float32"
"""
PHASES = """\
[[training.phases]]
epochs = {epochs}
samples = 32
learning_rate = 1e-2
warmup_steps = 5
[[training.phases]]
rollout = 2
epochs = 1
samples = 8
learning_rate = 1e-3
warmup_steps = 0
"""


def write_work(folder: Path) -> None:
    made.write_weather(folder / "era5")
    made.write_footprints(folder / "footprints", many=100)


def experiment_file(work: Path, name: str, epochs: int = 1, more: str = "") -> Path:
    return training_case.on_weatherbench(work, name, more, network=NETWORK, training=TRAINING,
                                         phases=PHASES.format(epochs=epochs))


def known(count: int = 100) -> Known:
    return Known.of(made.seen(made.soundings(count)), len(made.SCALE), 0.25)


def unseen(stations: np.ndarray | None = None) -> np.ndarray:
    """(channel, lat, lon) bool: what none of the observations that may be used sees, those of the `stations` (n,)."""
    of = known()
    rows = of.rows if stations is None else of.rows[stations]
    found = np.ones(made.SPACE.shape, bool)
    found[of.channels] = (np.asarray(abs(rows).sum(axis=0)) == 0).reshape(-1, *made.SPACE.shape[1:])
    return found
