"""First members near the truth, as an analysis that has cycled for a while leaves them.

    python -m tests.benchmarks.near_truth EXPERIMENT.toml

Member i is the truth `--days` before the start, plus `--size` times the difference of two states of the climate,
brought to the start by the experiment's model without its noise:

    x_i = M(x_truth + size (c_2i - c_2i+1))          c_n the states that [initial] names, in turn

It writes what `python -m model_server initial` writes, and run/prepare.sh then finds the first ensemble there.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from contracts import config, ensemble, program, state, static
from contracts.nature import NatureFolder
from model_server import config as served
from model_server import ensemble as members_on_disk
from model_server import initial, models
from model_server.chosen import dressed_as
from model_server.models.base import Batch, advance
from verify.config import Settings

log = logging.getLogger("near_truth")


def main(arguments: Sequence[str]) -> None:
    parser = program.parser("python -m tests.benchmarks.near_truth", __doc__ or "",
                            "python -m tests.benchmarks.near_truth run/experiments/latent/short_january.toml")
    program.add_experiment(parser)
    parser.add_argument("--days", type=int, default=5, metavar="N", help="before the start")
    parser.add_argument("--size", type=float, default=0.2, help="of the differences")
    chosen = parser.parse_args(arguments)
    make(chosen.experiment, timedelta(days=chosen.days), chosen.size)


def make(path: Path, ago: timedelta, size: float) -> None:
    """Write <start>/background with mean and spread, and static.nc, unless they are there."""
    settings = served.load(path)
    experiment, space = settings.experiment, settings.space
    start, count = experiment.times()[0], experiment.members
    folder = experiment.folder.at(start).background
    if folder.is_complete(count) and experiment.folder.static.exists():
        log.info("%s: complete already", folder.folder)
        return
    nature = NatureFolder(settings.initial_folder)
    model = models.create(settings.model.name, settings.model.options, space)
    batch = replace(Batch(start - ago, near(path, settings, start - ago, size), (None,) * count),
                    members=tuple(range(1, count + 1)), seed=experiment.seed)
    while batch.time < start:
        batch = advance(model, batch)
    members_on_disk.write(folder, replace(batch, restart=(None,) * count), dressed_as(settings, model), experiment.name)
    static.write(experiment.folder.static, static.read(nature.static, space.grid), experiment.name)
    ensemble.write_statistics(folder, list(batch.data), space, start, experiment.name)


def near(path: Path, settings: served.Settings, time: datetime, size: float) -> np.ndarray:
    """(member, channel, lat, lon) about the truth at `time`."""
    truth = config.load(path, Settings).truth(time)
    assert truth is not None
    sources = initial.sources_of(settings, NatureFolder(settings.initial_folder), 2 * settings.experiment.members)
    climate = np.stack([state.read(NatureFolder(settings.initial_folder).state(when), settings.space, when).data
                        for when in sources])
    return state.read(truth, settings.space, time).data + np.float32(size) * (climate[::2] - climate[1::2])


if __name__ == "__main__":
    program.run(main, "near_truth")
