"""A model with two past states whose every forecast is known: leapfrog steps of a wave along the rows.

    x_j(n) = cos(k j - ω n),  sin ω = c sin k                                what it is for ever
    an increment δ cos(k j) of the newest state alone is n steps later the real part of
    δ e^(ikj) (a^(n+1) - b^(n+1)) / (a - b),   a = e^(-iω), b = -e^(iω)      the wave and the mode of the scheme
"""

import logging
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from contracts import redo, state, static
from contracts.nature import NatureFolder, beside
from contracts.state import State
from model_server import restart
from model_server.forecast import forecast, model_of
from model_server.initial import initial
from tests import builders
from tests.model_server import cycling
from tests.model_server.cycling import NUMBERS, START, STEP, at, members

BEGAN = datetime(1988, 1, 1, tzinfo=UTC)
C, SIZE = 0.5, 10.0
DELTA = np.array([1.0, -2.0, 0.5, 0.0])[:, None, None, None]  # of each member


def wave(space, steps: float, member: int) -> np.ndarray:
    """(channel, lat, lon) around the climate; another phase for each member and row."""
    k, omega = waves(space)
    rows = np.arange(space.grid.lat.size)[:, None]
    mean = np.array([builders.CLIMATE[channel.variable][0] for channel in space.channels])[:, None, None]
    scale = 1e-6 * np.abs(mean) + 1e-4
    return mean + SIZE * scale * np.cos(k * np.arange(space.grid.lon.size) - omega * steps + rows + member)


def waves(space) -> tuple[float, float]:
    k = 2 * np.pi / space.grid.lon.size
    return k, np.arcsin(C * np.sin(k))


@pytest.fixture
def begun(tmp_path, monkeypatch, installed):
    """begun(past): an experiment with states of a nature run, and of one step before each where `past` says so."""
    monkeypatch.setenv("WORK", str(tmp_path))
    monkeypatch.syspath_prepend(installed)

    def make(past: set[int], name: str = "e"):
        settings = cycling.write(tmp_path, "leapfrog", name, more=f"options = {{ courant = {C} }}")
        nature = NatureFolder(settings.initial_folder)
        for number in NUMBERS:
            for steps in (0, *([-1] if number in past else [])):
                when = BEGAN + (number - 1) * timedelta(hours=12) + steps * STEP
                state.write(nature.state(when), State(settings.space, wave(settings.space, steps, number), when))
        static.write(nature.static, builders.flat_static(settings.space.grid))
        initial(settings)
        return settings

    return make


def analyse(settings, time, delta: np.ndarray) -> None:
    """Analyses whose winds differ from those of the backgrounds by `delta` cos(k j), by member."""
    here, (k, _) = at(settings, time), waves(settings.space)
    wind = np.array([channel.is_wind for channel in settings.space.channels])[:, None, None]
    increment = delta * wind * np.cos(k * np.arange(settings.space.grid.lon.size))
    for number, data in zip(NUMBERS, members(settings, here.background, time) + increment, strict=True):
        state.write(here.analysis.member(number), State(settings.space, data, time), number)
    here.departures.touch()


def difference(settings, steps: int) -> np.ndarray:
    """From the waves that never end, (member, channel, lat, lon) after `steps`, in float64."""
    time = START + steps * STEP
    exact = np.stack([wave(settings.space, steps, number) for number in NUMBERS])
    return members(settings, at(settings, time).background, time) - exact


def test_with_its_own_past_the_first_ensemble_goes_on_as_the_wave_for_ever(begun, caplog):
    with caplog.at_level(logging.INFO):
        settings = begun(set(NUMBERS))
    assert caplog.messages[-1] == "leapfrog begins with two states, the one 6 h earlier from there"
    for step, time in enumerate(settings.experiment.times(), start=1):
        analyse(settings, time, 0 * DELTA)
        forecast(settings, time)
        rounding = 2.0**-23 * step * np.abs(wave(settings.space, 0, 1)).max(axis=(1, 2), keepdims=True)
        assert (np.abs(difference(settings, step)) <= 2 * rounding).all()


def test_without_a_past_the_first_analysis_stands_for_it_and_the_log_says_of_how_many(begun, caplog):
    with caplog.at_level(logging.INFO):
        settings = begun({1, 3})
    assert "but of 2 of 4 members, which begin with the first analysis twice" in caplog.text
    analyse(settings, START, 0 * DELTA)
    forecast(settings, START)
    lacking = np.stack([np.zeros(settings.space.shape) if number in (1, 3) else
                        wave(settings.space, 0, number) - wave(settings.space, -1, number) for number in NUMBERS])
    assert np.abs(lacking).max() > 0.3
    np.testing.assert_allclose(difference(settings, 1), lacking, atol=0.02)  # rounding of 1e5 Pa


def test_an_increment_acts_on_the_newest_state_alone(begun):
    settings = begun(set(NUMBERS))
    times = settings.experiment.times()
    for step, time in enumerate(times):
        analyse(settings, time, DELTA if step == 1 else 0 * DELTA)
        forecast(settings, time)
    k, omega = waves(settings.space)
    a, b = np.exp(-1j * omega), -np.exp(1j * omega)
    wind = settings.space.index("v_component_of_wind")  # around zero, where float32 is fine
    for steps in (1, 2):
        response = (a ** (steps + 1) - b ** (steps + 1)) / (a - b)
        expected = DELTA * (np.exp(1j * k * np.arange(settings.space.grid.lon.size)) * response).real
        found = difference(settings, 1 + steps)[:, wind]
        np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=2e-6)


def test_done_again_a_forecast_has_the_same_bits(begun):
    settings = begun(set(NUMBERS))
    for time in settings.experiment.times():
        analyse(settings, time, DELTA)
        forecast(settings, time)
    last = settings.experiment.times()[-1] + STEP
    before = members(settings, at(settings, last).background, last)
    redo.redo(settings.experiment, "forecast", last - STEP)
    assert not at(settings, last).background.member(1).exists()
    forecast(settings, last - STEP)
    np.testing.assert_array_equal(members(settings, at(settings, last).background, last), before)
    kept = restart.read(beside(at(settings, last).background.member(2)), model_of(settings).name, last)
    np.testing.assert_array_equal(kept.before, members(settings, at(settings, last - STEP).analysis, last - STEP)[1])
