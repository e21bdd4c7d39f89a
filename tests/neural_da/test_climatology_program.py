"""The methods that take the climate for a prior through the program and its files."""

from dataclasses import replace

import numpy as np
import pytest

from contracts import observations, state
from contracts.errors import UserError
from contracts.variables import Flag
from networks.climate import file
from networks.climate.gaussian import Climate
from neural_da import analysis
from tests.builders import CLIMATE, TIME
from tests.letkf_mpi.case import Case, contents
from tests.networks import climates
from tests.neural_da import case, made
from tests.neural_da.case import NOW

NEURAL = """
[neural]
method = "climatology"
prior = "climates/small.nc"
"""
GUIDED = NEURAL.replace('"climatology"', '"guided"') + "levels = 4\n"
HYBRID = NEURAL.replace('"climatology"', '"three_d_var"') + 'covariance = "climate"\nshare = 0.5\n'


@pytest.fixture(autouse=True)
def no_work(monkeypatch):
    monkeypatch.delenv("WORK", raising=False)


def prior() -> Climate:
    """Around the states of the made experiment, with a third of their spread."""
    climate = climates.climate(made.SPACE)
    mean, spread = (np.array([CLIMATE[channel.variable][i] for channel in made.SPACE.channels]) for i in (0, 1))
    seasons = np.zeros_like(climate.seasons)
    seasons[0] = mean[:, None, None]
    return replace(climate, seasons=seasons, scale=np.broadcast_to(spread[:, None, None] / 3, made.SPACE.shape))


def experiment(folder, neural: str = NEURAL, mode: str = "research") -> Case:
    folder.mkdir(exist_ok=True)
    found = case.make(folder, neural, mode)
    file.write(folder / "climates" / "small.nc", prior(), "made")
    return found


def members(of: Case) -> np.ndarray:
    return np.stack([state.read(of.files.analysis.member(number), of.space, TIME).data for number in range(1, 5)])


@pytest.mark.parametrize("neural", [NEURAL, GUIDED, HYBRID], ids=["climatology", "guided", "three_d_var"])
def test_members_in_parts_and_threads_have_the_same_bits_and_fit_the_observations(neural, tmp_path):
    whole, parts = experiment(tmp_path / "whole", neural), experiment(tmp_path / "parts", neural + "threads = 3\n")
    analysis.main([str(whole.toml), NOW])
    analysis.main([str(parts.toml), NOW, "--members", "2:3"])
    analysis.main([str(parts.toml), NOW, "--rest"])
    assert contents(whole.files) == contents(parts.files)
    assert whole.files.field("carried").exists() == (neural is HYBRID)
    table, _ = observations.read_departures(whole.files.departures)
    used = table.flag == Flag.assimilated
    assert used.any()
    before, after = (np.abs(table.value - hx)[used] for hx in (table.background_mean, table.analysis_mean))
    assert after.mean() < before.mean()


def test_all_members_that_are_there_already_are_left_alone(tmp_path):
    of = experiment(tmp_path)
    analysis.main([str(of.toml), NOW, "--members", "1:4"])
    before = {path: path.stat().st_mtime_ns for path in of.files.analysis.members(4)}
    analysis.main([str(of.toml), NOW, "--rest"])
    assert of.files.departures.exists() and {path: path.stat().st_mtime_ns for path in before} == before


def test_without_observations_real_time_draws_from_the_climate(tmp_path):
    """Where the mean of the members is that of the climate: humidity has lost what was negative."""
    of = experiment(tmp_path, mode="realtime")
    of.files.observations.write_bytes(b"")
    analysis.main([str(of.toml), NOW])
    found, climate = members(of), prior()
    temperature = of.space.index("temperature")
    np.testing.assert_allclose(found.mean(axis=0)[temperature], climate.mean(TIME)[temperature], rtol=1e-6)
    assert (found.std(axis=0) > 0).any() and (found[:, of.space.index("specific_humidity")] >= 0).all()


def test_a_climate_of_the_years_of_the_experiment_is_refused_before_anything_is_made(tmp_path):
    of = experiment(tmp_path)
    late = prior().fitted + 8 * 365 * 86_400
    file.write(tmp_path / "climates" / "small.nc", replace(prior(), fitted=late), "made")
    with pytest.raises(UserError, match=r"small.nc: was made .* 1988.* to 1989.*\[neural\] seen = 'another_world'"):
        analysis.main([str(of.toml), NOW])
    assert not of.files.analysis.folder.exists()
    of.toml.write_text(of.toml.read_text().replace(NEURAL, NEURAL + 'seen = "another_world"\n'))
    analysis.main([str(of.toml), NOW])
    assert of.files.departures.exists()
