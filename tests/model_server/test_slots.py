"""Backgrounds at slots around the analysis time, by the forecast command on real files."""

from datetime import timedelta

import numpy as np
import pytest

from contracts import state
from contracts.errors import UserError
from contracts.slots import Slots
from model_server import models
from model_server.forecast import forecast
from model_server.models.base import Batch
from tests import builders

NEXT = builders.TIME + timedelta(hours=6)
MODEL = '[model]\nname = "persistence"\nbatch = 2\noptions = {{ step_hours = {} }}\n'
STATE = "[grid]\nnlat = 8\nnlon = 16\n[state]\nlevels_hpa = [500, 850]\n"
SLOTS = "[slots]\nevery_hours = {}\nwindow_hours = [-4, 3]\n"


@pytest.fixture
def made(experiment):
    """made(step, every): an experiment with analyses at 06 UTC whose model steps so many hours."""

    def make(step: int, every: int, slots: str = SLOTS):
        settings = experiment(MODEL.format(step) + STATE + slots.format(every))
        for number, path in enumerate(settings.experiment.folder.at(builders.TIME).analysis.members(3), start=1):
            state.write(path, builders.random_state(settings.space, seed=number), member=number)
        return settings

    return make


def background(settings):
    return settings.experiment.folder.at(NEXT).background


def test_offsets_are_the_multiples_within_the_window():
    hours = [offset / timedelta(hours=1) for offset in Slots(every_hours=1.5, window_hours=(-4.0, 3.0)).offsets]
    assert hours == [-3.0, -1.5, 0.0, 1.5, 3.0]
    assert timedelta() not in Slots().around and len(Slots().around) == 6


@pytest.mark.parametrize("window", [(1.0, 3.0), (-0.5, 0.5), (-2.0, -1.0)])
def test_a_window_without_the_analysis_time_or_without_slots_is_refused(window):
    with pytest.raises(ValueError, match="must hold the analysis time, 0, and another multiple of every_hours = 1"):
        Slots(window_hours=window)


def test_every_member_is_written_at_every_slot_and_valid_there(made, monkeypatch):
    """A model that makes the air 0.1 K warmer in an hour shows when each state was given out."""

    def step(self, batch: Batch) -> Batch:
        return Batch(batch.time + self.time_step, batch.data + warmer, batch.restart)

    settings = made(1, 2)
    here = settings.space.index("temperature")
    warmer = np.zeros((settings.space.shape[0], 1, 1), np.float32)
    warmer[here] = 0.1
    monkeypatch.setattr(type(models.create("persistence", {}, settings.space)), "step", step)
    forecast(settings, builders.TIME)
    assert background(settings).is_complete(3)
    for number in (1, 2, 3):
        start = state.read(settings.experiment.folder.at(builders.TIME).analysis.member(number), settings.space).data
        for hours in (-4, -2, 0, 2):
            folder = background(settings).slot(timedelta(hours=hours)) if hours else background(settings)
            found = state.read(folder.member(number), settings.space, NEXT + timedelta(hours=hours)).data
            np.testing.assert_allclose(found[here] - start[here], 0.1 * (6 + hours), atol=1e-3)
    assert not background(settings).slot(timedelta(hours=3)).folder.exists()


def test_running_again_makes_what_is_missing_of_a_member(made):
    settings = made(1, 1)
    forecast(settings, builders.TIME)
    slot = background(settings).slot(timedelta(hours=-1))
    lost = state.read(slot.member(2), settings.space).data
    kept = slot.member(1).stat().st_mtime_ns
    slot.member(2).unlink()
    background(settings).spread.unlink()
    forecast(settings, builders.TIME)
    assert np.array_equal(state.read(slot.member(2), settings.space).data, lost)
    assert slot.member(1).stat().st_mtime_ns == kept


def test_a_model_that_steps_over_slots_is_refused_by_one_sentence(made):
    settings = made(6, 1)
    with pytest.raises(UserError, match="every_hours = 1 is no multiple of the 6 h step of persistence"):
        forecast(settings, builders.TIME)
    assert not background(settings).folder.exists()


def test_slots_before_the_analysis_that_the_forecast_begins_with_are_refused(made):
    settings = made(3, 3, "[slots]\nevery_hours = {}\nwindow_hours = [-6, 3]\n")
    with pytest.raises(UserError, match="begins 6 h before the analysis time"):
        forecast(settings, builders.TIME)
