"""Parameters of a model go with its members: drawn once, changed by analyses alone, whatever happens on the way.

The model is `damped` of the example package, x <- x + share (mean - x): what its parameter does can be computed.
"""

import msgspec
import numpy as np
import pytest

from contracts import parameters, state
from contracts.config import Experiment
from contracts.errors import ContractError, UserError
from contracts.parameters import Parameters
from model_server import models
from model_server import parameters as of_members
from model_server.forecast import forecast
from model_server.free import free
from model_server.validation import validate
from tests.model_server import cycling
from tests.model_server.cycling import MEMBERS, START, STEP, analyse, at, members

DRAWN = "[model.parameters]\nshare = { mean = 0.2, spread = 0.05 }\n"


def stored(settings, folder, time) -> np.ndarray:
    """(member,)"""
    return parameters.read(folder.parameters, time, MEMBERS, models.parameters("damped")).values[:, 0]


def damped(data: np.ndarray, share: np.ndarray) -> np.ndarray:
    """One step of fields (member, channel, lat, lon) with the share of each member."""
    share = np.float32(share)[:, None, None, None]
    return data + share * (data.mean(axis=(2, 3), keepdims=True) - data)


def test_the_first_are_drawn_for_each_member_and_do_not_depend_on_their_number(begin):
    settings = begin("damped", more=DRAWN)
    first = stored(settings, at(settings, START).background, START)
    assert len(set(first)) == MEMBERS
    many = msgspec.structs.replace(settings, experiment=Experiment(name="e", start=START, end=START, members=800))
    draws = of_members.first(many).values[:, 0]
    np.testing.assert_array_equal(draws[:MEMBERS], first)
    assert draws.mean() == pytest.approx(0.2, abs=0.01) and draws.std() == pytest.approx(0.05, abs=0.005)
    assert draws.min() >= 0.0


def test_a_forecast_goes_on_with_the_members_own_parameters_and_leaves_them_beside_it(begin):
    settings = begin("damped", more=DRAWN)
    analyse(settings, START)
    forecast(settings, START)
    own = stored(settings, at(settings, START).background, START)
    later = at(settings, START + STEP).background
    np.testing.assert_array_equal(stored(settings, later, START + STEP), own)
    expected = damped(members(settings, at(settings, START).analysis, START), own)
    np.testing.assert_array_equal(members(settings, later, START + STEP), expected)


def test_after_an_analysis_of_them_it_goes_on_with_those(begin):
    settings = begin("damped", more=DRAWN)
    analyse(settings, START)
    own = np.linspace(0.1, 0.4, MEMBERS)
    estimated = Parameters(models.parameters("damped"), own[:, None])
    parameters.write(at(settings, START).analysis.parameters, estimated, START)
    forecast(settings, START)
    later = at(settings, START + STEP).background
    np.testing.assert_array_equal(stored(settings, later, START + STEP), own)
    np.testing.assert_array_equal(members(settings, later, START + STEP),
                                  damped(members(settings, at(settings, START).analysis, START), own))


def test_batches_change_no_bit_and_the_free_ensemble_has_those_of_the_first_background(begin):
    found = []
    for name, batch in (("together", MEMBERS), ("alone", 1)):
        settings = begin("damped", name, batch, more=DRAWN)
        analyse(settings, START)
        other = Parameters(models.parameters("damped"), np.full((MEMBERS, 1), 0.5))
        parameters.write(at(settings, START).analysis.parameters, other, START)
        forecast(settings, START)
        free(settings)
        found.append(members(settings, at(settings, START + STEP).background, START + STEP))
        mean = state.read(settings.experiment.folder.free(START + STEP).mean, settings.space, START + STEP).data
    np.testing.assert_array_equal(*found)
    first = at(settings, START).background
    expected = damped(members(settings, first, START), stored(settings, first, START)).mean(axis=0, dtype=float)
    np.testing.assert_allclose(mean, expected, rtol=1e-6)


def test_a_value_that_is_the_same_for_all_needs_no_draw_and_without_any_nothing_is_written(begin):
    settings = begin("damped", "fixed", more="[model.parameters]\nshare = 0.3\n")
    np.testing.assert_array_equal(stored(settings, at(settings, START).background, START), 0.3)
    settings = begin("damped", "usual")
    analyse(settings, START)
    forecast(settings, START)
    assert not any(at(settings, time).background.parameters.exists() for time in (START, START + STEP))


@pytest.mark.parametrize(("model", "values", "told"), [
    ("damped", "drag = 1.0", "unknown parameter 'drag' of the model damped; it has share"),
    ("damped", "share = 0.6", r"expected share \[1\] in 0 to 0.5, got 0.6"),
    ("damped", "share = { mean = -0.1, spread = 0.1 }", "got -0.1"),
    ("persistence", "share = 0.1", "unknown parameter 'share' of the model persistence; it has none"),
])
def test_what_the_model_has_not_is_refused_at_once(tmp_path, monkeypatch, installed, model, values, told):
    monkeypatch.setenv("WORK", str(tmp_path))
    monkeypatch.syspath_prepend(installed)
    cycling.write(tmp_path, model, more=f"[model.parameters]\n{values}\n")
    with pytest.raises(UserError, match=told):
        validate(tmp_path / "e.toml")


def test_members_without_their_parameters_are_not_carried_on(begin):
    settings = begin("damped", more=DRAWN)
    analyse(settings, START)
    at(settings, START).background.parameters.unlink()
    with pytest.raises(ContractError, match=r"parameters.nc: no such file; expected a parameters/1 file"):
        forecast(settings, START)
