"""Extended forecasts: leads, products, resume, and what they say of themselves."""

from datetime import timedelta

import numpy as np
import pytest
import xarray

from contracts import state
from contracts.errors import UserError
from contracts.state import State
from model_server import extended, forecast
from tests import builders
from tests.model_server.conftest import command

HOURS = timedelta(hours=1)


def source_of(settings):
    return settings.experiment.folder.at(builders.TIME)


def extend(settings, steps, write="statistics"):
    extended.extend(settings, forecast.model_of(settings), builders.TIME, steps, write)


def moving(settings, monkeypatch):
    """Persistence that warms by one degree a step."""
    model = forecast.model_of(settings)
    original = type(model).step

    def step(self, batch):
        data = batch.data.copy()
        data[:, self.space.index("temperature")] += 1.0
        later = original(self, batch)
        return type(later)(later.time, data, later.restart)

    monkeypatch.setattr(type(model), "step", step)


def test_each_lead_is_so_many_steps_of_the_model(persistence, monkeypatch):
    moving(persistence, monkeypatch)
    extend(persistence, 3, "members")
    for step in (1, 2, 3):
        lead = 6 * step * HOURS
        folder = source_of(persistence).forecast(lead)
        assert folder.folder.name == f"{6 * step:03d}h" and folder.is_complete(3)
        for number in (1, 2, 3):
            before = state.read(source_of(persistence).analysis.member(number), persistence.space).data.copy()
            for _ in range(step):
                before[persistence.space.index("temperature")] += 1.0
            after = state.read(folder.member(number), persistence.space, builders.TIME + lead).data
            np.testing.assert_array_equal(after, before)
    with xarray.open_dataset(folder.spread, decode_timedelta=False) as dataset:
        assert dataset["temperature"].coords["forecast_period"] == 18.0
        assert dataset["temperature"].coords["forecast_reference_time"] == np.datetime64("1989-01-01T06:00")


def test_the_first_lead_is_the_background_and_the_background_is_not_touched(persistence):
    forecast.forecast(persistence, builders.TIME)
    background = persistence.experiment.folder.at(builders.TIME + 6 * HOURS).background
    before = {path: path.read_bytes() for path in background.folder.iterdir()}
    extend(persistence, 2)
    assert {path: path.read_bytes() for path in background.folder.iterdir()} == before
    for name in ("mean", "spread"):
        found = state.read(getattr(source_of(persistence).forecast(6 * HOURS), name), persistence.space).data
        np.testing.assert_array_equal(found, state.read(getattr(background, name), persistence.space).data)


def test_statistics_alone_write_no_members(persistence):
    extend(persistence, 2)
    for lead in (6, 12):
        folder = source_of(persistence).forecast(lead * HOURS).folder
        assert sorted(path.name for path in folder.iterdir()) == ["ensmean.nc", "ensspread.nc"]


def test_running_again_makes_only_what_is_missing_and_a_longer_one_goes_on(persistence):
    extend(persistence, 2)
    first, second = (source_of(persistence).forecast(lead * HOURS) for lead in (6, 12))
    kept, stamp = second.mean.read_bytes(), second.mean.stat().st_mtime_ns
    first.spread.unlink()
    extend(persistence, 3)
    assert first.spread.exists() and second.mean.stat().st_mtime_ns == stamp and second.mean.read_bytes() == kept
    assert source_of(persistence).forecast(18 * HOURS).spread.exists()


def test_a_member_that_leaves_its_range_is_named_with_its_step(persistence, monkeypatch):
    moving(persistence, monkeypatch)
    hot = builders.random_state(persistence.space).data.copy()
    hot[persistence.space.index("temperature"), 2, 3] = 358.5
    state.write(source_of(persistence).analysis.member(2), State(persistence.space, hot, builders.TIME), member=2)
    with pytest.raises(UserError, match=r"member 2 at 1989010118, step 2 .*temperature_500 is 360.5 K at lat"):
        extend(persistence, 4)
    assert source_of(persistence).forecast(6 * HOURS).spread.exists()
    assert not source_of(persistence).forecast(12 * HOURS).folder.exists()


def test_no_step_is_refused(persistence):
    with pytest.raises(UserError, match="--steps must be at least 1, got 0"):
        extend(persistence, 0)


def test_the_command_makes_them(persistence, tmp_path):
    file = str(tmp_path / "experiment.toml")
    process = command("forecast", file, "1989010106", "--steps", "40", "--write", "members")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert source_of(persistence).forecast(240 * HOURS).is_complete(3)
    process = command("forecast", file, "1989010106", "--write", "members")
    assert "--write belongs to an extended forecast" in process.communicate(timeout=60)[0]
    assert process.returncode == 2
