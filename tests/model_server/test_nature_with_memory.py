"""A nature run of a model that needs two states and draws: it resumes to the same bits, a first ensemble forgets."""

from datetime import timedelta

import numpy as np
import pytest

from contracts import state, times
from contracts.errors import UserError
from contracts.nature import NatureFolder, beside
from contracts.static import Static
from model_server import models, restart
from model_server.initial import initial
from model_server.models.base import Batch
from model_server.nature import nature
from tests import builders

TEXT = """
[model]
name = "persistence"
[grid]
nlat = 4
nlon = 8
[state]
levels_hpa = [500, 850]
[nature]
model = "persistence"
start = 1989-01-01T06:00:00Z
end = {end}
spin_up_days = 1
{more}
"""
STEP = timedelta(hours=6)


class Walk:
    """x(n + 1) = x(n) + (x(n) - x(n - 1)) / 2 + ξ, from a nature run's beginning on."""

    name, time_step, history, keeps_restart = "walk", STEP, 2, True

    def __init__(self, space):
        self.space, self.static = space, Static(space.grid, *np.zeros((2, *space.grid.shape)))

    def step(self, batch: Batch) -> Batch:
        draws = [random.standard_normal(self.space.shape, dtype=np.float32) for random in batch.generators()]
        data = batch.data + (batch.data - batch.before) / 2 + np.float32(1e-5) * np.stack(draws)
        return Batch(batch.time + STEP, data, tuple({"x": one} for one in data))

    def cold_start(self, time) -> Batch:
        return self.adopt([{"x": builders.random_state(self.space).data}], time)

    def adopt(self, restarts, time) -> Batch:
        return Batch(time, np.stack([one["x"] for one in restarts]), tuple(restarts))


@pytest.fixture
def run(experiment, monkeypatch):
    """run(end, more) makes the nature run up to the hour `end` of 2 January; states by time."""
    monkeypatch.setattr(models, "create", lambda name, options, space, section="model": Walk(space))

    def make(end: int, more: str = ""):
        settings = experiment(TEXT.format(end=f"1989-01-02T{end:02d}:00:00Z", more=more))
        nature(settings)
        folder = NatureFolder(settings.nature_folder)
        return settings, {when: state.read(folder.state(when), settings.space, when).data
                          for when in times.every(settings.nature_start, settings.nature_end, STEP)}

    return make


def test_it_goes_on_and_resumes_with_the_same_bits_as_a_run_that_nobody_interrupted(run):
    _, whole = run(18)
    run(6, 'folder = "again"')
    settings, grown = run(18, 'folder = "again"')
    folder, last = NatureFolder(settings.nature_folder), max(grown)
    folder.state(last).unlink()
    folder.restart(last).write_bytes(b"half of it")
    _, resumed = run(18, 'folder = "again"')
    for found in (grown, resumed):
        assert found.keys() == whole.keys()
        assert all(np.array_equal(found[when], whole[when]) for when in whole)


def test_it_draws_as_number_0_of_its_own_seed(run):
    _, whole = run(0)
    _, other = run(0, 'folder = "other"\nseed = 2')
    past, before, when = sorted(whole)[-3:]
    draw, = Batch(before, whole[before][None], (None,), members=(0,), seed=1).generators()
    noise = np.float32(1e-5) * draw.standard_normal(whole[before].shape, np.float32)
    np.testing.assert_array_equal(whole[when], whole[before] + (whole[before] - whole[past]) / 2 + noise)
    assert not np.array_equal(other[when], whole[when])
    with pytest.raises(UserError, match="holds a nature run with seed = 2, asked for 3"):
        run(0, 'folder = "other"\nseed = 3')


def test_members_that_begin_as_its_states_have_no_past(run):
    settings, states = run(18, "[initial]\nevery_hours = 6")
    initial(settings)
    background = settings.experiment.folder.at(settings.experiment.times()[0]).background
    for member, data in zip((1, 2, 3), states.values(), strict=False):
        kept = restart.read(beside(background.member(member)), "walk", settings.experiment.times()[0])
        np.testing.assert_array_equal(kept.own["x"], data)
        assert kept.before is None
