"""A catalogue of runs: parameters from all over their ranges, and the same bits after a kill."""

from datetime import UTC, datetime

import numpy as np
import pytest

from contracts import config, parameters, state
from contracts.errors import UserError
from contracts.nature import NatureFolder
from model_server import catalogue, models, nature, restart
from model_server.catalogue import Settings, hypercube, runs
from model_server.restart import Kept
from tests import builders

BEGIN = datetime(1988, 12, 1, tzinfo=UTC)
TEXT = """
[model]
name = "{model}"
{options}
[nature]
folder = "nature"
[catalogue]
folder = "{folder}"
runs = 2
days = 1
every_hours = 12
begin = [1988-12-01T00:00:00Z]
"""


@pytest.fixture
def settings(tmp_path, monkeypatch, speedy):
    """settings(folder, model): an experiment of two runs of a day, from a state of a nature run that is there."""
    monkeypatch.setenv("WORK", str(tmp_path))
    cold = speedy.cold_start(BEGIN)
    source = NatureFolder(tmp_path / "nature").restart(BEGIN)
    restart.write(source, Kept(cold.restart[0]), speedy.name, BEGIN)

    def make(folder: str, model: str = "speedy") -> Settings:
        path = tmp_path / "experiment.toml"
        options = "options = { truncation = 21 }" if model == "speedy" else ""
        path.write_text(builders.experiment() + TEXT.format(folder=folder, model=model, options=options))
        return config.load(path, Settings)

    return make


def test_in_each_equal_part_of_a_range_there_is_one_run():
    of = models.parameters("speedy")
    values = hypercube(of, 40, seed=1)
    shares = (values - [one.low for one in of]) / [one.width for one in of]
    assert (np.sort(np.floor(40 * shares), axis=0) == np.arange(40)[:, None]).all()
    assert abs(np.corrcoef(shares.T) - np.eye(len(of))).max() < 0.4
    np.testing.assert_array_equal(values, hypercube(of, 40, seed=1))
    assert not np.array_equal(values, hypercube(of, 40, seed=2))


def test_killed_and_begun_again_it_has_the_bits_of_one_left_alone(settings, monkeypatch):
    whole, killed = settings("whole"), settings("killed")
    catalogue.catalogue(whole)
    kept, left = nature.keep, iter(range(4))  # the first state of the second run is the last

    def dying(*arguments):
        if next(left, None) is None:
            raise KeyboardInterrupt
        kept(*arguments)

    monkeypatch.setattr(nature, "keep", dying)
    with pytest.raises(KeyboardInterrupt):
        catalogue.catalogue(killed)
    monkeypatch.setattr(nature, "keep", kept)
    catalogue.catalogue(killed)
    ends = []
    for one, other in zip(runs(whole), runs(killed), strict=True):
        states = sorted(path.name for path in one.folder.folder.glob("1*.nc"))
        assert states == ["1988120100.nc", "1988120112.nc", "1988120200.nc"] and len(one.folder.restarts()) == 1
        for name in states:
            found, expected = (state.read(run.folder.folder / name, whole.space).data for run in (other, one))
            np.testing.assert_array_equal(found, expected)
        read = parameters.read(one.folder.parameters, BEGIN, 1, models.parameters("speedy"))
        np.testing.assert_array_equal(read.values, one.own.values)
        ends.append(expected)
    assert not np.array_equal(*ends)


def test_a_model_without_parameters_and_a_folder_of_other_runs_are_refused(settings):
    with pytest.raises(UserError, match="persistence has no parameters"):
        catalogue.catalogue(settings("none", "persistence"))
    asked = settings("other")
    for run in runs(asked):
        parameters.write(run.folder.parameters, parameters.Parameters(run.own.of, run.own.values * 1.001), run.begin)
    with pytest.raises(UserError, match="holds a run with other parameters"):
        catalogue.catalogue(asked)
