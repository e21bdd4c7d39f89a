"""What the tests of the model server share: one compiled model, small experiment files, ensembles on disk."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from contracts import state
from contracts.config import GridSettings, StateSettings
from model_server import config, models
from networks.card import Damping
from networks.checkpoint import Checkpoint
from networks.onnx.card import OnnxCard
from tests import builders
from tests.model_server import cycling
from tests.networks import climax_builders as made

CHECKOUT = Path(__file__).resolve().parents[2]
SEEN = ((builders.TIME - timedelta(days=20), builders.TIME - timedelta(days=10)),)  # by the weights of `exported`


@pytest.fixture(scope="session")
def speedy():
    """SPEEDY T21 in the usual 39 channels, compiled once on this machine."""
    return models.create("speedy", {"truncation": 21}, StateSettings().space(GridSettings().grid()))


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> tuple[Checkpoint, Path, OnnxCard]:
    """A small ClimaX with damping, rows from the north, with its graph and the card of that, made once."""
    where = made.small_space()
    bare = made.checkpoint(made.card(where, latitude="descending"))
    card = made.card(where, latitude="descending", seen=SEEN,
                     damping=Damping(truncation=3, factor={"2m_temperature": 0.8}))
    mean = np.stack([np.full(where.grid.shape, builders.CLIMATE[channel.variable][0]) for channel in where.channels])
    found = Checkpoint(card, bare.weights, bare.constants, mean.astype(np.float32))
    path = tmp_path_factory.mktemp("export") / "climax.onnx"
    from networks.onnx import export  # here, because torch takes a while to import

    return found, path, export.export(found, path)


@pytest.fixture
def experiment(tmp_path, monkeypatch) -> Callable[..., config.Settings]:
    """experiment(text) writes an experiment file, with three members from 1989-01-01 06Z on, and loads it."""
    monkeypatch.setenv("WORK", str(tmp_path))

    def make(text: str = "", more: str = "") -> config.Settings:
        path = tmp_path / "experiment.toml"
        head = builders.experiment("e", end=builders.TIME + timedelta(hours=12), members=3)
        path.write_text(f"{head}{more}\n{text}")
        return config.load(path)

    return make


@pytest.fixture
def persistence(experiment) -> config.Settings:
    """An experiment of the persistence model on a small grid with three analyses at 06Z."""
    settings = experiment(
        '[model]\nname = "persistence"\nbatch = 2\n[grid]\nnlat = 8\nnlon = 16\n[state]\nlevels_hpa = [500, 850]\n'
    )
    for number, path in enumerate(settings.experiment.folder.at(builders.TIME).analysis.members(3), start=1):
        state.write(path, builders.random_state(settings.space, seed=number), member=number)
    return settings


def command(*arguments: str, **environment: str) -> subprocess.Popen:
    """`python -m model_server …` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "model_server", *arguments], cwd=CHECKOUT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ | environment,
    )


@pytest.fixture
def begin(tmp_path, monkeypatch, installed) -> Callable[..., config.Settings]:
    """begin(model, name, batch, seed, more): a small experiment with its first ensemble, also of the example models."""
    monkeypatch.setenv("WORK", str(tmp_path))
    monkeypatch.syspath_prepend(installed)
    return lambda *chosen, **more: cycling.first_ensemble(cycling.write(tmp_path, *chosen, **more))
