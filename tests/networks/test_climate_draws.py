"""Draws of a climate as state files, and what the climate says of states that it has not seen."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from contracts import state, static
from contracts.config import decode
from contracts.errors import UserError
from contracts.nature import NatureFolder
from networks.climate import command, draws, file, gaussian, wiener
from networks.climate.config import Settings
from tests import builders
from tests.networks import climates

SPACE = climates.space(4, 8)
EXPERIMENT = """
[experiment]
name = "drawn"
start = 1992-01-01T00:00:00Z
end = 1992-01-02T00:00:00Z
[grid]
nlat = 4
nlon = 8
[state]
levels_hpa = [500, 850]
on_levels = ["temperature"]
at_surface = ["2m_temperature"]
[climate]
natures = ["nature"]
start = 1981-01-01T00:00:00Z
end = 1981-12-31T00:00:00Z
[climate.draws]
folder = "draws"
first = 1991-01-01T00:00:00Z
every_hours = 6
count = 5
factor = 0.5
"""


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """The experiment file, with a climate and fixed fields in its work folder."""
    monkeypatch.setenv("WORK", str(tmp_path))
    static.write(NatureFolder(tmp_path / "nature").static, builders.flat_static(SPACE.grid))
    file.write(tmp_path / "climate.nc", climates.climate(SPACE), "test")
    (tmp_path / "drawn.toml").write_text(EXPERIMENT)
    return tmp_path / "drawn.toml"


def test_draws_are_files_like_those_of_a_nature_run_and_the_same_however_often_they_are_made(experiment, tmp_path):
    command.main([str(experiment), "--draws"])
    folder, chosen = NatureFolder(tmp_path / "draws"), decode(EXPERIMENT, Settings, "test").climate.draws
    climate = file.read(tmp_path / "climate.nc", SPACE)
    made = [state.read(folder.state(time), SPACE, time).data for time in chosen.times()]
    assert len(made) == 5 and static.read(folder.static, SPACE.grid)
    for time, found in zip(chosen.times(), made, strict=True):
        np.testing.assert_array_equal(found, draws.draw(climate, time, chosen.seed, chosen.factor))
    bits = {path.name: path.stat().st_mtime_ns for path in folder.folder.glob("*.nc")}
    folder.state(chosen.times()[2]).unlink()
    command.main([str(experiment), "--draws"])
    np.testing.assert_array_equal(state.read(folder.state(chosen.times()[2]), SPACE).data, made[2])
    kept = {path.name: path.stat().st_mtime_ns for path in folder.folder.glob("*.nc")}
    assert sum(kept[name] != bits[name] for name in bits) == 1


def test_draws_have_the_mean_of_the_date_and_the_climates_covariance_times_the_factor():
    climate = climates.climate(SPACE)
    time = climates.START + timedelta(days=30)
    many = np.array([draws.draw(climate, time, seed, 0.5).astype(np.float64) for seed in range(4000)]).reshape(4000, -1)
    variance = 0.25 * climate.variance().ravel()
    assert np.abs((many.mean(axis=0) - climate.mean(time).ravel()) / np.sqrt(variance)).max() < 5 / np.sqrt(4000)
    np.testing.assert_allclose(many.var(axis=0), variance, rtol=6 * np.sqrt(2 / 4000))


def test_the_mean_variance_of_a_function_is_that_of_the_matrix():
    for nlon in (6, 7):
        C = climates.correlation(6, nlon, 3)
        for function in (gaussian.identity, gaussian.remaining(0.5)):
            matrix = climates.dense(C, (2, 3, nlon), function)
            assert C.mean_variance(function) == pytest.approx(np.diag(matrix).mean())


def test_draws_of_a_climate_are_as_it_expects_and_those_of_a_rougher_one_are_not():
    climate = climates.climate(SPACE, rest=0.02)
    rough = replace(climate, correlation=climates.correlation(12, 8, 3, rest=1.0))
    def states(of):
        return [(climates.START + timedelta(days=day), climate.mean(climates.START + timedelta(days=day))
                 + of.draw(np.random.default_rng(day).standard_normal(SPACE.shape))) for day in range(300)]

    assert all(ratio == pytest.approx(1, abs=0.06) for ratio in wiener.ratios(climate, states(climate)).values())
    assert wiener.ratios(climate, states(rough))[0.3] > 2


def test_what_cannot_be_is_refused(experiment, tmp_path):
    experiment.write_text(EXPERIMENT[: EXPERIMENT.index("[climate.draws]")])
    with pytest.raises(UserError, match=r"has no \[climate.draws\]"):
        command.main([str(experiment), "--draws"])
    experiment.write_text(EXPERIMENT.replace("natures =", "check = { start = 1981-06-01T00:00:00Z, end = "
                                             "1982-06-01T00:00:00Z }\nnatures ="))
    with pytest.raises(UserError, match="meets the states that are fitted"):
        command.main([str(experiment)])
