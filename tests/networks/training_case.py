"""A training that takes seconds: a network of one block learns waves that move east."""

import csv
from pathlib import Path

import numpy as np
import pytest

from networks import checkpoint as checkpoints
from networks import train
from networks.training import config, loop
from networks.training.task import Task

SIX_HOURS = 6 * 3600  # s, a step of it
STATES = 96  # of the nature run
TRAINING = """
[experiment]
name = "{name}"
start = 1990-01-01T00:00:00Z
end = 1990-01-16T18:00:00Z
seed = 3
[grid]
nlat = 8
nlon = 16
[state]
levels_hpa = [500, 850]
on_levels = ["geopotential", "temperature"]
at_surface = ["2m_temperature"]
[network]
patch = 2
embed_dim = 32
depth = 1
heads = 4
[training]
validation_start = 1990-01-17T06:00:00Z
validation_end = 1990-01-24T18:00:00Z
batch = 8
days_per_shard = 10
leads_hours = [6, 12]
validation_samples = 6
threads = 1
precision = "float32"
{more}
[[training.phases]]
epochs = {epochs}
learning_rate = 4e-3
warmup_steps = 5
[[training.phases]]
rollout = 2
epochs = 1
learning_rate = 1e-4
warmup_steps = 0
"""


ON_WEATHERBENCH = """
[experiment]
name = "{name}"
start = 1990-01-01T00:00:00Z
end = 1990-01-16T18:00:00Z
seed = 3
[grid]
nlat = {nlat}
nlon = {nlon}
[state]
levels_hpa = [500, 850, 925]
on_levels = ["geopotential", "temperature"]
at_surface = ["2m_temperature"]
[network]
{network}
[training]
source = "weatherbench"
data = "{work}/era5"
validation_start = {unseen_from}
validation_end = 1990-01-24T18:00:00Z
batch = 4
days_per_shard = 10
threads = 1
precision = "float32"
{training}
{more}
{phases}
"""


def prepared(path: Path) -> Task:
    """The task of an experiment file as its training begins, from shards that are made here."""
    settings = config.load(path)
    train.write_shards(settings)
    return loop.prepared(settings).task


def rmse(path: Path) -> dict[tuple[str, str, str], float]:
    """By epoch, channel and kind, from the scores that the training of an experiment file has left."""
    return {(row["epoch"], row["channel"], row["kind"]): float(row["rmse"])
            for row in table(config.load(path).folder / "scores.csv")}


def on_weatherbench(work: Path, name: str, more: str = "", nlat: int = 16, nlon: int = 32,
                    unseen_from: str = "1990-01-17T06:00:00Z", **parts: str) -> Path:
    """The experiment file of a training from `work`/era5; `parts` are the lines of its kind: network, training, phases.
    """
    path = work / f"{name}.toml"
    path.write_text(ON_WEATHERBENCH.format(work=work, name=name, more=more, nlat=nlat, nlon=nlon,
                                           unseen_from=unseen_from, **parts))
    return path


def experiment_file(work, name: str, epochs: int, more: str = ""):
    path = work / f"{name}.toml"
    path.write_text(TRAINING.format(name=name, epochs=epochs, more=more))
    return path


def table(path) -> list[dict]:
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def killed_and_resumed(path: Path, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that ends after so many steps, as by a signal, and is begun again by the same command."""
    real, left = loop.one_step, iter(range(steps))

    def dying(*arguments):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(loop, "one_step", dying)
    with pytest.raises(KeyboardInterrupt):
        train.main([str(path)])
    monkeypatch.setattr(loop, "one_step", real)
    train.main([str(path)])


def same_bits_after_a_kill(whole: Path, cut: Path, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The training `cut` is ended after so many steps and begun again: its weights are those of the `whole` one."""
    train.main([str(whole)])
    killed_and_resumed(cut, steps, monkeypatch)
    first, second = (checkpoints.read(config.load(path).weights).weights for path in (whole, cut))
    for name, array in first.items():
        np.testing.assert_array_equal(second[name], array)
