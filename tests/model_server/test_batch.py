"""Who the members are and what they were before: the same bits however members are batched, and after a restart.

Models of an installed package, through the commands: `inertia` needs two states, `noisy` draws and remembers.
"""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from contracts import netcdf, state
from contracts.errors import ContractError, UserError
from contracts.nature import FOLDER, beside
from model_server import ensemble, extended, models
from model_server.forecast import forecast, model_of
from model_server.free import free
from model_server.models.base import Batch, advance
from model_server.serve import serve
from tests import builders
from tests.model_server.cycling import MEMBERS, NUMBERS, START, STEP, analyse, at, cycle, members, same

SHARE = np.float32(0.5)  # of inertia
SHIFTED = 'before = "shifted"'


@pytest.mark.parametrize(("model", "more"), [("inertia", ""), ("inertia", SHIFTED), ("noisy", "")])
def test_batches_retention_and_kills_change_no_bit_of_a_cycle(begin, monkeypatch, model, more):
    def killed_twice(settings, time):
        created = netcdf.create
        for survives in (1, 3):  # files, of those missing
            left = iter(range(survives))

            def dying(*arguments, left=left, **named):
                if next(left, None) is None:
                    raise KeyboardInterrupt
                return created(*arguments, **named)

            monkeypatch.setattr(netcdf, "create", dying)
            with pytest.raises(KeyboardInterrupt):
                forecast(settings, time)
        monkeypatch.setattr(netcdf, "create", created)
        forecast(settings, time)

    expected = cycle(begin(model, "whole", more=more))
    assert len({expected[f"m{number:04d}"].tobytes() for number in NUMBERS}) == MEMBERS
    def served(settings, time):
        serve(settings, follow=False)

    for name, batch, make, kept, where in (
            ("one", 1, forecast, False, "files"), ("three", 3, killed_twice, False, "files"),
            ("served", 2, served, True, "files"), ("together_one", 1, forecast, False, "one_file"),
            ("together_three", 3, killed_twice, False, "one_file"), ("together_all", 9, served, True, "one_file")):
        settings = begin(model, name, batch, more=more, members_in=where)
        same(cycle(settings, make, kept), expected, name)
        last = sorted(path.name for path in at(settings, START + 3 * STEP).background.folder.glob("*.nc"))
        assert last == ["ensmean.nc", "ensspread.nc", *([f"m{number:04d}.nc" for number in NUMBERS]
                                                        if where == "files" else ["members.nc"])]


@pytest.mark.parametrize("model", ["inertia", "noisy"])
def test_a_member_alone_has_the_bits_that_it_has_with_others_in_any_order(begin, model):
    settings = begin(model)
    cycle(settings)
    model, time = model_of(settings), START + 2 * STEP
    together = ensemble.read(settings, model, at(settings, time).analysis, NUMBERS, time)
    expected = advance(model, advance(model, together)).data
    for numbers in ((4,), (4, 2), (3, 1, 4)):
        some = ensemble.read(settings, model, at(settings, time).analysis, numbers, time)
        later = advance(model, advance(model, some))
        assert later.members == numbers and later.seed == settings.experiment.seed
        np.testing.assert_array_equal(later.data, expected[[number - 1 for number in numbers]])


def test_a_state_before_is_the_analysis_of_one_step_earlier_as_it_was_written(begin):
    settings = begin("inertia")
    cycle(settings)
    earlier = members(settings, at(settings, START).analysis, START)  # the first time: the same state twice
    for time in settings.experiment.times():
        present = members(settings, at(settings, time).analysis, time)
        found = members(settings, at(settings, time + STEP).background, time + STEP)
        np.testing.assert_array_equal(found, present + SHARE * (present - earlier))
        earlier = present


def test_shifted_adds_the_present_increment_to_it(begin):
    settings = begin("inertia", more=SHIFTED)
    cycle(settings)
    for time in settings.experiment.times()[1:]:
        earlier, present = (members(settings, at(settings, when).analysis, when) for when in (time - STEP, time))
        increment = present - members(settings, at(settings, time).background, time)
        found = members(settings, at(settings, time + STEP).background, time + STEP)
        np.testing.assert_array_equal(found, present + SHARE * (present - (earlier + increment)))


def test_shifted_by_nothing_is_as_written(begin):
    written, shifted = (cycle(begin("inertia", name, more=more), increment=0.0)
                        for name, more in (("written", ""), ("shifted", SHIFTED)))
    same(shifted, written)


@pytest.mark.parametrize("where", ["files", "one_file"])
def test_between_analyses_the_state_before_is_the_models_own(begin, where):
    """Three steps of two hours from one analysis to the next; states at slots around it."""
    slots = "options = { step_hours = 2 }\n[slots]\nevery_hours = 2\nwindow_hours = [-2, 2]"
    settings = begin("inertia", members_in=where, batch=3, more=slots)
    cycle(settings)
    for time in settings.experiment.times()[1:]:
        before = members(settings, at(settings, time).background.slot(timedelta(hours=-2)), time - timedelta(hours=2))
        present = members(settings, at(settings, time).analysis, time)
        for hours in (2, 4, 6, 8):
            before, present = present, present + SHARE * (present - before)
            if hours > 2:
                background = at(settings, time + STEP).background
                folder = background if hours == 6 else background.slot(timedelta(hours=hours - 6))
                found = members(settings, folder, time + timedelta(hours=hours))
                np.testing.assert_array_equal(found, present)
                assert (folder.folder / FOLDER).exists() == (hours == 6)


@pytest.mark.parametrize("where", ["files", "one_file"])
@pytest.mark.parametrize("model", ["inertia", "noisy"])
def test_without_analyses_the_cycle_is_the_free_ensemble_and_an_extended_forecast(begin, model, where):
    settings = begin(model, batch=2, members_in=where)
    cycle(settings, increment=0.0)
    free(settings)
    extended.extend(settings, model_of(settings), START, 2, "members")
    for hours in (6, 12):
        time = START + timedelta(hours=hours)
        background, lead = at(settings, time).background, at(settings, START).forecast(time - START)
        np.testing.assert_array_equal(members(settings, lead, time), members(settings, background, time))
        for folder in (settings.experiment.folder.free(time), lead):
            for found, expected in ((folder.mean, background.mean), (folder.spread, background.spread)):
                np.testing.assert_array_equal(state.read(found, settings.space, time).data,
                                              state.read(expected, settings.space, time).data)


def test_draws_follow_from_seed_time_and_member_alone(begin):
    settings = begin("noisy")
    data = np.stack([builders.random_state(settings.space).data] * 3)
    batch = Batch(START, data, ({}, {}, {}), (2, 7, 0), 1)
    drawn = [random.standard_normal(1000) for random in batch.generators()]
    again = [random.standard_normal(1000) for random in replace(batch, data=2 * data).generators()]
    np.testing.assert_array_equal(again, drawn)
    alone, = Batch(START, data[:1], (None,), (7,), 1).generators()
    np.testing.assert_array_equal(alone.standard_normal(1000), drawn[1])
    others = [random.standard_normal(1000) for other in (replace(batch, seed=2), replace(batch, time=START + STEP))
              for random in other.generators()]
    correlation = np.corrcoef([*drawn, *others]) - np.eye(9)
    assert np.abs(correlation).max() < 0.15  # 4.7 standard deviations of unrelated draws
    with pytest.raises(ValueError, match="these members have no numbers"):
        Batch(START, data, ({}, {}, {})).generators()


def test_another_seed_is_another_ensemble(begin):
    one, other = (cycle(begin("noisy", f"seed{seed}", seed=seed)) for seed in (1, 2))
    assert all(not np.array_equal(one[f"m{number:04d}"], other[f"m{number:04d}"]) for number in NUMBERS)


def test_what_is_kept_no_longer_is_missed_in_a_sentence(begin):
    settings = begin("inertia")
    analyse(settings, START)
    forecast(settings, START)
    analyse(settings, START + STEP)
    beside(at(settings, START + STEP).background.member(3)).unlink()
    with pytest.raises(ContractError, match=r"m0003\.npz: no such file; the model inertia needs"):
        forecast(settings, START + STEP)


def test_shifted_is_refused_where_no_earlier_state_is_needed(begin):
    settings = begin("noisy", more=SHIFTED)
    with pytest.raises(UserError, match='before = "shifted": noisy needs no earlier state; leave it out'):
        model_of(settings)
    with pytest.raises(UserError, match="before: "):
        begin("inertia", more='before = "lagged"')


@pytest.mark.parametrize(("members", "before", "said"), [
    ((1, 2), None, "3 members but 2 numbers"),
    ((), np.zeros((2, 4)), r"states before of shape \(3, 4\), got \(2, 4\)"),
])
def test_a_batch_whose_parts_do_not_fit_is_refused(members, before, said):
    with pytest.raises(ValueError, match=said):
        Batch(START, np.zeros((3, 4)), (None,) * 3, members, 1, before)


def test_models_of_the_package_are_known_by_name(begin):
    space = begin("inertia").space
    assert [models.create(name, {}, space).history for name in ("damped", "inertia", "noisy")] == [1, 2, 1]
