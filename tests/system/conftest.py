"""A twin experiment before its first cycle, and the same after an uninterrupted run; made once."""

import subprocess
from pathlib import Path

import pytest

from tests.system import experiment
from tests.system.experiment import Experiment, copy


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> Path:
    """A work folder with everything that stands there before the first cycle."""
    return experiment.make(tmp_path_factory.mktemp("prepared") / "work").work


@pytest.fixture(scope="session")
def finished(prepared, tmp_path_factory) -> tuple[Experiment, subprocess.CompletedProcess]:
    """An uninterrupted run, one process per step, and what it said."""
    made = copy(prepared, tmp_path_factory.mktemp("finished"))
    made.path.write_text(experiment.SHOWN)
    return made, made.run()


@pytest.fixture(scope="session")
def tidied(prepared, tmp_path_factory) -> Experiment:
    """A finished run whose members were let go; not to be changed."""
    made = copy(prepared, tmp_path_factory.mktemp("tidied"))
    experiment.short_memory(made)
    done = made.run()
    assert done.returncode == 0, done.stdout + done.stderr
    return made


@pytest.fixture
def fresh(prepared, tmp_path) -> Experiment:
    """An experiment before its first cycle."""
    return copy(prepared, tmp_path)
