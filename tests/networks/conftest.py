"""What the tests of the networks share: a work folder with made weather, small trainings, the commands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from networks.training import config
from tests.networks import climax_builders as made
from tests.networks.training_case import STATES, experiment_file

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A work folder with a nature run of moving waves."""
    folder = tmp_path_factory.mktemp("work")
    made.nature_run(folder / "nature", made.small_space(), STATES)
    return folder


@pytest.fixture
def settings(work, monkeypatch):
    """settings(name, epochs, more) -> of an experiment file in the work folder."""
    monkeypatch.setenv("WORK", str(work))

    def load(name: str = "small", epochs: int = 1, more: str = "") -> config.Settings:
        return config.load(experiment_file(work, name, epochs, more))

    return load


def command(*arguments: str, **environment: str) -> subprocess.Popen:
    """`python -m networks …` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "networks", *arguments], cwd=CHECKOUT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ | environment,
    )
