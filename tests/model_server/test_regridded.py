"""A model on another grid than the analysis: it takes increments alone, and nothing of its own is lost."""

from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from contracts import humidity, state
from contracts.errors import UserError
from contracts.grid import Grid
from contracts.nature import beside
from model_server import restart
from model_server.forecast import forecast, model_of
from model_server.models.base import Batch, advance, begun
from model_server.models.regridded import GIVEN, OWN, OWN_BEFORE, onto, regridded
from model_server.serve import serve
from networks.data.regrid import Regridding
from tests import builders
from tests.model_server.cycling import MEMBERS, NUMBERS, START, STEP, at, cycle, members, same

FINER = "[model.grid]\nnlat = 9\nnlon = 16\npoles = true\n"
COARSER = "[model.grid]\nnlat = 2\nnlon = 4\n"
GRIDS = {FINER: Grid.regular(9, 16, poles=True), COARSER: Grid.regular(2, 4)}


def own(settings, number: int, time) -> dict[str, np.ndarray]:
    path = beside(at(settings, time).background.member(number))
    return dict(restart.read(path, model_of(settings).name, time).own)


def moved(settings, grid: Grid, data: np.ndarray, up: bool) -> np.ndarray:
    """By definition: means of cells onto the coarser grid, bilinear onto the finer."""
    source, target = (settings.space.grid, grid) if up else (grid, settings.space.grid)
    method = "conservative" if target.size < source.size else "bilinear"
    return np.stack([Regridding(source, target, method)(field, channel.is_wind)
                     for field, channel in zip(data, settings.space.channels, strict=True)]).astype(np.float32)


@pytest.mark.parametrize("grid", GRIDS, ids=["finer", "coarser"])
def test_without_increments_the_model_runs_on_its_own_grid_as_if_nobody_looked(begin, grid):
    settings = begin("leapfrog", more=grid)
    cycle(settings, increment=0.0)
    first = members(settings, at(settings, START).background, START)
    alone = model_of(settings).model
    data = np.stack([moved(settings, GRIDS[grid], one, up=True) for one in first])
    batch = begun(alone, Batch(START, data, (None,) * MEMBERS), NUMBERS, 1)
    for time in settings.experiment.times():
        batch = advance(alone, batch)
        for number in NUMBERS:
            kept, fields = own(settings, number, time + STEP), batch.data[number - 1]
            np.testing.assert_array_equal(kept[OWN], fields)
            seen = moved(settings, GRIDS[grid], fields, up=False)
            np.testing.assert_allclose(kept[GIVEN], seen, rtol=1e-6)
            path = at(settings, time + STEP).background.member(number)
            np.testing.assert_array_equal(state.read(path, settings.space, time + STEP).data, kept[GIVEN])


def test_no_increment_leaves_every_bit_of_the_model_s_state_even_of_zero(begin):
    settings = begin("persistence", more=FINER)
    model = model_of(settings)
    x = np.stack([builders.random_state(model.model.space, number).data for number in NUMBERS])
    x[:, 3, ::2] = -0.0
    given = np.stack([moved(settings, GRIDS[FINER], one, up=False) for one in x])
    kept = tuple({OWN: one, GIVEN: seen} for one, seen in zip(x, given, strict=True))
    later = model.step(Batch(START, given, kept, tuple(NUMBERS), 1))
    assert b"".join(one[OWN].tobytes() for one in later.restart) == x.tobytes()
    np.testing.assert_array_equal(later.data, given)


@pytest.mark.parametrize("grid", GRIDS, ids=["finer", "coarser"])
def test_the_increment_alone_is_brought_to_the_model_s_grid(begin, grid):
    settings = begin("persistence", more=grid)
    cycle(settings)
    for time in settings.experiment.times()[1:]:
        background, analysis = (members(settings, folder, time) for folder in
                                (at(settings, time).background, at(settings, time).analysis))
        for number in NUMBERS:
            increment = moved(settings, GRIDS[grid], (analysis - background)[number - 1], up=True)
            before, after = own(settings, number, time)[OWN], own(settings, number, time + STEP)[OWN]
            expected = before + increment
            dry = humidity.humid(settings.space)
            expected[dry] = np.maximum(expected[dry], np.minimum(before[dry], 0))
            np.testing.assert_allclose(after, expected, rtol=1e-6)


def test_what_the_programs_see_has_the_mean_of_the_model_s_globe():
    fine, coarse = builders.space(12, 24), builders.space(5, 9)
    data, down = builders.random_state(fine).data.astype(np.float64), onto(fine, coarse)
    np.testing.assert_allclose((down(data) * coarse.grid.area_weights).mean(axis=(1, 2)),
                               (data * fine.grid.area_weights).mean(axis=(1, 2)), rtol=2e-2, atol=1.0)
    assert (down.method, onto(coarse, fine).method) == ("conservative", "bilinear")


@pytest.mark.parametrize("more", ["", 'before = "shifted"\n'])
def test_two_states_are_both_on_the_model_s_grid(begin, more):
    """The increment moves the newest, and with "shifted" the one before it too."""
    settings = begin("inertia", more=more + FINER)
    cycle(settings)
    first, second = settings.experiment.times()[1:3]
    increment = (members(settings, at(settings, second).analysis, second)
                 - members(settings, at(settings, second).background, second))[0]
    kept, later = own(settings, 1, second), own(settings, 1, second + STEP)
    change = moved(settings, GRIDS[FINER], increment, up=True)
    earlier = kept[OWN_BEFORE] + change if more else kept[OWN_BEFORE]
    np.testing.assert_allclose(later[OWN_BEFORE], kept[OWN] + change, rtol=1e-6)
    wind = [channel.is_wind for channel in settings.space.channels]
    expected = kept[OWN] + change + 0.5 * (kept[OWN] + change - earlier)
    np.testing.assert_allclose(later[OWN][wind], expected[wind], rtol=1e-4, atol=1e-4)
    assert second - first == STEP


@pytest.mark.parametrize(("model", "more"), [("inertia", FINER), ("noisy", FINER)])
def test_batches_retention_and_services_change_no_bit(begin, model, more):
    expected = cycle(begin(model, "whole", more=more))
    assert any(OWN in name for name in expected)
    for name, batch, make, kept in (("three", 3, forecast, False),
                                    ("served", 2, lambda settings, time: serve(settings, follow=False), True)):
        same(cycle(begin(model, name, batch, more=more), make, kept), expected, name)


def test_a_model_with_a_state_of_its_own_takes_no_other_grid():
    nature = SimpleNamespace(name="speedy-t21", space=None, time_step=STEP, history=1, keeps_restart=True, static=None,
                             **dict.fromkeys(("step", "cold_start", "adopt"), lambda: None))
    with pytest.raises(UserError, match=r"\[model.grid\]: speedy-t21 has a resolution of its own"):
        regridded(nature, builders.space(), shifted=False)


def test_memory_is_that_of_the_finer_grid(begin, monkeypatch):
    asked = []
    monkeypatch.setattr("model_server.memory.members_that_fit", lambda shape: asked.append(shape) or 1)
    settings = begin("persistence", more=FINER)
    of_its_own = msgspec.structs.replace(settings.model, batch=None)
    assert msgspec.structs.replace(settings, model=of_its_own).batch == 1
    assert asked == [(len(settings.space.channels), 9, 16)]
