"""A model in a Python of its own: the command begins again there, once, as the same process, with the same bits; and
what is said where there is none."""

import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from contracts import state
from contracts.errors import UserError
from model_server import config, environment, forecast, models, validation
from tests import builders
from tests.model_server.conftest import command

WRAPPER = '#!/bin/sh\necho "$$ $*" >>"{log}"\nexec "{python}" "$@"\n'


@pytest.fixture
def other(tmp_path) -> Path:
    """An interpreter by another name, which writes down with which process and words it was started."""
    path = tmp_path / "other" / "bin" / "python"
    path.parent.mkdir(parents=True)
    path.write_text(WRAPPER.format(log=tmp_path / "started", python=sys.executable))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def with_python(settings: config.Settings, python: object, tmp_path: Path) -> Path:
    """The same experiment, its model in another Python."""
    path = tmp_path / "experiment.toml"
    path.write_text(path.read_text().replace("[model]", f'[model]\npython = "{python}"'))
    return path


def test_a_command_begins_again_in_the_python_of_the_model_as_the_same_process(persistence, other, tmp_path):
    path = with_python(persistence, "$OTHER/bin/python", tmp_path)
    process = command("forecast", str(path), "1989010106", OTHER=str(other.parents[1]), WORK=str(tmp_path))
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    started, = (tmp_path / "started").read_text().splitlines()  # once
    assert started.split() == [str(process.pid), "-m", "model_server", "forecast", str(path), "1989010106"]
    experiment = persistence.experiment
    made = experiment.folder.at(builders.TIME + experiment.step).background
    for number, was in enumerate(experiment.folder.at(builders.TIME).analysis.members(3), start=1):
        np.testing.assert_array_equal(state.read(made.member(number), persistence.space).data,
                                      state.read(was, persistence.space).data)


def test_this_python_is_none_to_begin_again_in(persistence, tmp_path):
    path = with_python(persistence, sys.executable, tmp_path)
    assert environment.load(path) == config.load(path)


def test_no_process_but_a_command_of_ours_begins_again(persistence, other, tmp_path):
    with pytest.raises(UserError, match="the model persistence runs in .*: start it by a command, python -m"):
        forecast.main([str(with_python(persistence, other, tmp_path)), "1989010106"])


@pytest.mark.parametrize("python", ["nowhere/bin/python", "."])
def test_an_interpreter_that_is_not_there_is_refused(persistence, tmp_path, python):
    path = with_python(persistence, python, tmp_path)
    with pytest.raises(UserError, match=r"\[model\] python = .*: there is no interpreter .*; name the bin/python"):
        validation.validate(path)


def test_a_model_has_the_environment_of_its_name_beside_the_packages_of_this_python(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    made = tmp_path / "anemoi" / "bin" / "python"
    assert environment.python_of(config.Model(name="anemoi")) is None
    made.parent.mkdir(parents=True)
    made.symlink_to(sys.executable)
    assert environment.python_of(config.Model(name="anemoi")) == made
    assert environment.python_of(config.Model(name="persistence")) is None


@pytest.mark.parametrize("name", models.OWN_ENVIRONMENT)
def test_a_package_that_is_nowhere_is_refused_before_anything_is_made(experiment, monkeypatch, tmp_path, name):
    monkeypatch.setattr(models, "find_spec", lambda package: None)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    option = {"anemoi": 'checkpoint = "x"', "earth2studio": 'model = "Persistence"'}[name]
    experiment(f'[model]\nname = "{name}"\noptions = {{ {option} }}\n')
    with pytest.raises(UserError, match=f"the model {name} needs the package {name}, which is not installed; run `make "
                                        f"{name}`, or name in \\[model\\] python"):
        validation.validate(Path(os.environ["WORK"]) / "experiment.toml")


@pytest.mark.parametrize("name", models.OWN_ENVIRONMENT)
def test_unknown_options_are_refused_without_the_package(name):
    with pytest.raises(UserError, match=rf"\[model.options\]: unknown setting 'begins' of the model {name}; .*'begin'"):
        models.check(name, {"begins": "x"}, "model")
