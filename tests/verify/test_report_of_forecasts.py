"""What the report says of forecasts: by lead, and of a free run of years, with cycles or without."""

from datetime import timedelta

import numpy as np
import pytest

from contracts import config, times
from contracts.errors import ContractError, UserError
from tests.verify.test_skill_spread import TEXT
from verify import report, skill_spread
from verify.config import Settings
from verify.free_run import FreeRun
from verify.skill_spread import Skill

DAYS, WAVES = 400, 5


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Settings:
    monkeypatch.setenv("WORK", str(tmp_path))
    found = config.decode(TEXT, Settings, "test")
    found.experiment.folder.folder.mkdir()
    return found


def free_run(settings: Settings) -> FreeRun:
    """A global mean that leaves the climate on day 300 and a wave that has twice its power."""
    names = tuple(channel.name for channel in settings.state.channels())
    start, n = settings.experiment.start, len(names)
    seconds = np.array([times.to_seconds(start + timedelta(days=day)) for day in range(DAYS)])
    means = np.repeat(np.where(np.arange(DAYS) < 300, 250.0, 253.0)[:, None], n, axis=1)
    power = np.ones((n, WAVES))
    power[:, 3] = 2.0
    return FreeRun(names, seconds, means, power, np.full(n, 249.0), np.full(n, 251.0), np.ones((n, WAVES)))


def test_a_free_run_is_read_as_it_was_written(settings, tmp_path):
    made = free_run(settings)
    made.write(tmp_path / "free_run.nc", "far")
    found = FreeRun.read(tmp_path / "free_run.nc")
    assert found.channels == made.channels and found.outside.sum() == 100 * len(made.channels)
    for name in ("seconds", "means", "power", "low", "high", "climate_power"):
        np.testing.assert_array_equal(getattr(found, name), getattr(made, name))
    with pytest.raises(ContractError, match="free_run/1"):
        FreeRun.read(tmp_path / "none.nc")


def test_without_cycles_and_forecasts_there_is_nothing_to_report(settings):
    with pytest.raises(UserError, match="no time has scores yet"):
        report.write(settings)


def test_the_report_of_a_free_run_says_when_it_left_the_climate(settings):
    free_run(settings).write(settings.experiment.folder.folder / "free_run.nc", "far")
    html = report.write(settings).read_text()
    assert '<section id="free-run">' in html and '<section id="leads">' not in html
    assert all(f"<td>{cell}</td>" in html for cell in ("399", "75.0", "300"))  # days, inside, first day outside
    assert "power of waves over that of the climate: from 1.00 to 2.00" in html


def test_the_report_of_forecasts_says_spread_error_and_ranks_by_lead(settings):
    space = settings.state.space(settings.grid.grid())
    shape = (len(settings.verify.regions), len(space.channels))
    ranks = np.broadcast_to([0.5, 0.2, 0.2, 0.1], (*shape, 4))
    found = {lead: Skill(1, np.full(shape, float(lead)), np.full(shape, 3.0), np.ones(shape), ranks)
             for lead in (6, 12)}
    skill_spread.write(settings.experiment.folder.folder / "skill_spread.nc", settings, space, found)
    html = report.write(settings).read_text()
    assert '<section id="leads">' in html
    assert f"<td>{np.sqrt(4 / 3 * 3 / 6):.3f}</td>" in html  # √((k + 1)/k) spread / error at 6 h
    assert "ranks at 12 h: lowest 2.00 and highest 0.400 times as often as expected" in html
