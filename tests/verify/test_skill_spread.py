"""Extended forecasts by lead: each number against its definition, computed slowly."""

from datetime import timedelta

import netCDF4
import numpy as np
import pytest

from contracts import state
from contracts.config import decode
from contracts.errors import UserError
from tests import builders
from verify import scores, skill_spread
from verify.config import Settings

TEXT = """
[experiment]
name = "far"
start = 1989-01-01T06:00:00Z
end = 1989-01-01T18:00:00Z
members = 3
[grid]
nlat = 4
nlon = 8
[state]
levels_hpa = [500, 850]
[verify]
truth = "truth/%Y%m%d%H.nc"
headline = ["temperature_500"]
regions = { all = [-90, 90], north = [20, 90] }
"""
HOURS = timedelta(hours=1)


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Settings, and the forecasts from two of three times as {(start, lead): (members, truth)}."""
    monkeypatch.setenv("WORK", str(tmp_path))
    (tmp_path / "far.toml").write_text(TEXT)
    settings, found = decode(TEXT, Settings, "test"), {}
    space = settings.state.space(settings.grid.grid())
    for seed, start in enumerate(settings.experiment.times()[:2]):
        for lead in (6, 12):
            valid = start + lead * HOURS
            truth = builders.random_state(space, 1000 + int(valid.timestamp()) % 997, valid)
            state.write(tmp_path / "truth" / f"{valid:%Y%m%d%H}.nc", truth)
            folder = settings.experiment.folder.at(start).forecast(lead * HOURS)
            members = [builders.random_state(space, 100 * seed + 10 * lead + number, valid) for number in range(3)]
            for path, member in zip([*folder.members(3), folder.mean, folder.spread], [*members, *members[:2]],
                                    strict=True):
                state.write(path, member)
            found[start, lead] = np.stack([member.data for member in members]), truth.data
    return settings, space, found


def test_error_spread_crps_and_ranks_are_those_of_their_definitions(made):
    settings, space, forecasts = made
    found = skill_spread.collect(settings, space)
    assert list(found) == [6, 12] and all(one.starts == 2 and one.members == 3 for one in found.values())
    weights = scores.region_weights(space.grid, settings.verify.regions)
    starts = settings.experiment.times()[:2]
    for lead, one in found.items():
        for region in range(2):
            square = variance = crps = 0
            ranks = np.zeros((space.shape[0], 4))
            for start in starts:
                X, y = (array.astype(np.float64) for array in forecasts[start, lead])
                def mean(field, region=region):
                    return (weights[region] * field).sum(axis=(1, 2))
                square += mean((X.mean(axis=0) - y) ** 2) / 2
                variance += mean(((X - X.mean(axis=0)) ** 2).sum(axis=0) / 2) / 2
                pairs = sum(np.abs(a - b) for a in X for b in X) / (2 * 3 * 2)
                crps += mean(np.abs(X - y).mean(axis=0) - pairs) / 2
                for rank in range(4):
                    ranks[:, rank] += mean(sum((y > x).astype(int) for x in X) == rank)
            table = one.table
            np.testing.assert_allclose(table["rmse"][region], np.sqrt(square), rtol=1e-10)
            np.testing.assert_allclose(table["spread"][region], np.sqrt(variance), rtol=1e-10)
            np.testing.assert_allclose(table["crps"][region], crps, rtol=1e-9)
            np.testing.assert_allclose(table["ratio"][region], np.sqrt(4 / 3 * variance / square), rtol=1e-10)
            np.testing.assert_allclose(one.ranks[region], ranks, atol=1e-12)


def test_an_ensemble_drawn_as_the_truth_is_reliable_and_one_too_narrow_is_not():
    rng, weights = np.random.default_rng(1), np.full((1, 40, 50), 1 / 2000)
    X, y = rng.standard_normal((8, 1, 40, 50)), rng.standard_normal((1, 40, 50))
    honest, narrow = (skill_spread.skill(factor * X, y, weights) for factor in (1.0, 0.3))
    assert honest.table["ratio"] == pytest.approx(1, abs=0.05) and narrow.table["ratio"] < 0.4
    np.testing.assert_allclose(honest.ranks, 1 / 9, atol=0.03)
    assert narrow.ranks[0, 0, [0, 8]].sum() > 0.5


def test_the_command_prints_the_leads_asked_for_and_writes_all(made, tmp_path, capsys):
    skill_spread.main([str(tmp_path / "far.toml"), "--leads", "12"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| temperature_500")]
    assert len(lines) == 1 and lines[0].startswith("| temperature_500 | 12 | 2 |")
    with netCDF4.Dataset(tmp_path / "far" / "skill_spread.nc") as dataset:
        assert dataset.contract == "skill_spread/1" and dataset["lead"][:].tolist() == [21600, 43200]
        np.testing.assert_allclose(dataset["rank_share"][:].sum(axis=-1), 1)


def test_a_lead_that_there_is_none_of_is_refused(made, tmp_path):
    with pytest.raises(UserError, match="--leads: there are no forecasts of 7 h; there are those of 6, 12 h"):
        skill_spread.main([str(tmp_path / "far.toml"), "--leads", "6", "7"])


def test_forecasts_without_truth_or_members_are_passed_over_and_none_at_all_is_said(made, tmp_path, caplog):
    settings, space, _ = made
    (tmp_path / "truth" / "1989010200.nc").unlink()  # of the second start, 12 h later
    assert [one.starts for one in skill_spread.collect(settings, space).values()] == [2, 1]
    assert "1989010200.nc: no such file; what was forecast for it is passed over" in caplog.text
    for start in settings.experiment.times()[:2]:
        for lead in (6, 12):
            settings.experiment.folder.at(start).forecast(lead * HOURS).member(2).unlink()
    with pytest.raises(UserError, match="holds no extended forecast with members and a truth"):
        skill_spread.collect(settings, space)
    with pytest.raises(UserError, match="--channels: the states have no ozone; they have"):
        skill_spread.main([str(tmp_path / "far.toml"), "--channels", "ozone"])


def test_an_experiment_without_a_truth_is_told_what_to_set(made, tmp_path, caplog):
    path = tmp_path / "far.toml"
    path.write_text(TEXT.replace('truth = "truth/%Y%m%d%H.nc"\n', ""))
    with pytest.raises(UserError, match=r'\[verify\] truth names none.*set it, such as "nature/%Y%m%d%H.nc"'):
        skill_spread.main([str(path)])
    assert not caplog.text
