"""A climate in its file, and the command that makes it from the states of nature runs."""

import logging
import re
from datetime import UTC, datetime, timedelta

import netCDF4
import numpy as np
import pytest

from contracts import config, state, times
from contracts.errors import ContractError, UserError
from contracts.grid import Grid
from contracts.state import State, StateSpace
from networks import unseen
from networks.climate import command, file
from tests.networks import climates
from tests.networks.denoiser import made


@pytest.fixture
def written(tmp_path):
    climate = climates.climate(climates.space(16, 32))
    file.write(tmp_path / "climate.nc", climate, "python -m networks climate a.toml", "a")
    return tmp_path / "climate.nc", climate


def test_write_then_read_is_identity(written):
    path, climate = written
    found = file.read(path, climate.space)
    np.testing.assert_array_equal(found.seasons, climate.seasons)
    np.testing.assert_array_equal(found.scale, climate.scale)
    np.testing.assert_array_equal(found.fitted, climate.fitted)
    for name in ("modes", "variance", "rest"):
        np.testing.assert_array_equal(getattr(found.correlation, name), getattr(climate.correlation, name))
    with netCDF4.Dataset(path) as dataset:
        assert dataset.command == "python -m networks climate a.toml" and dataset.contract == "climate/1"


def test_a_climate_of_another_grid_or_state_is_refused(written):
    path, climate = written
    other_grid = StateSpace(Grid.regular(16, 32, poles=True), climate.space.channels)
    with pytest.raises(ContractError, match="expected a climate on the 16 x 32 grid.*check .grid."):
        file.read(path, other_grid)
    fewer = StateSpace(climate.space.grid, climate.space.channels[:2])
    with pytest.raises(ContractError, match="temperature_500, temperature_850, got .*2m_temperature; check .state."):
        file.read(path, fewer)


def test_other_units_values_that_are_none_and_half_a_file_are_refused(written):
    path, climate = written
    with netCDF4.Dataset(path, "a") as dataset:
        dataset["units"][0] = "degC"
    with pytest.raises(ContractError, match="units K, K, K, got degC, K, K"):
        file.read(path, climate.space)
    with netCDF4.Dataset(path, "a") as dataset:
        dataset["units"][0] = "K"
        dataset["scale"][0, 0, 0] = np.nan
    with pytest.raises(ContractError, match="must be finite"):
        file.read(path, climate.space)
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.delncattr("complete")
    with pytest.raises(ContractError, match="never finished"):
        file.read(path, climate.space)


@pytest.mark.parametrize("start,end,is_refused", [(1989, 1990, True), (1990, 1992, True), (1980, 1995, True),
                                                  (1991, 1992, False), (1979, 1980, False)])
def test_what_has_seen_the_times_of_an_experiment_is_refused(tmp_path, start, end, is_refused):
    begin, finish = datetime(start, 6, 1, tzinfo=UTC), datetime(end, 7, 1, tzinfo=UTC)
    experiment = config.Experiment(name="a", start=begin, end=finish)
    seen = datetime(1981, 1, 1, tzinfo=UTC), datetime(1990, 12, 31, tzinfo=UTC)
    if not is_refused:
        return unseen.refuse_overlap(tmp_path / "climate.nc", *seen, experiment)
    with pytest.raises(UserError, match=f"climate.nc: .*1981010100 to 1990123100.*{start}060100 to {end}070100"):
        unseen.refuse_overlap(tmp_path / "climate.nc", *seen, experiment)


EXPERIMENT = """
[experiment]
name = "small"
start = 1992-01-01T00:00:00Z
end = 1992-01-02T00:00:00Z
[grid]
nlat = 16
nlon = 32
[state]
levels_hpa = [500, 850]
on_levels = ["temperature"]
at_surface = ["2m_temperature"]
[climate]
natures = ["early", "late"]
start = 1981-01-01T00:00:00Z
end = {end}
every_hours = 48
modes = 10
file = "climates/small.nc"
check = {{ start = 1981-05-01T00:00:00Z, end = 1981-05-29T00:00:00Z, every_hours = 48 }}
"""


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """Two folders of nature states, two days apart, and the experiment file."""
    monkeypatch.setenv("WORK", str(tmp_path / "work"))
    where = climates.space(16, 32)
    climate = climates.climate(where, zonal=True)
    for number in range(80):  # the last twenty are not fitted
        time = climates.START + timedelta(days=2 * number)
        noise = np.random.default_rng(number).standard_normal(where.shape)
        data = climate.mean(time) + climate.draw(noise)
        folder = tmp_path / "work" / ("early" if number < 25 else "late")
        state.write(folder / f"{times.name(time)}.nc", State(where, data, time))
    path = tmp_path / "small.toml"
    path.write_text(EXPERIMENT.format(end="1981-04-29T00:00:00Z"))
    return path


def test_the_command_fits_and_tells_what_the_fit_is_worth(experiment, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    command.main([str(experiment)])
    made = tmp_path / "work" / "climates" / "small.nc"
    climate = file.read(made, climates.space(16, 32))
    assert len(climate.fitted) == 60 and climate.fitted[0] == times.to_seconds(climates.START)
    assert climate.correlation.modes.shape == (17, 10, 48)
    assert re.search(r"variance of the climate / local variance of the states: (0\.9|1\.0)\d in", caplog.text)
    assert re.search(r"over what the climate expects, 15 states of 1981050100 to 1981052900: \d", caplog.text)
    assert "white rest" in caplog.text and "60 states from 1981010100 to 1981042900" in caplog.text


ON_WEATHERBENCH = """
[experiment]
name = "archive"
start = 1992-01-01T00:00:00Z
end = 1992-01-02T00:00:00Z
work = "{work}"
[grid]
nlat = 8
nlon = 16
[state]
levels_hpa = [500, 850, 925]
on_levels = ["geopotential", "temperature"]
at_surface = ["2m_temperature"]
[climate]
source = "weatherbench"
data = "{work}/era5"
start = {start:%Y-%m-%dT%H:%M:%SZ}
end = {end:%Y-%m-%dT%H:%M:%SZ}
every_hours = 6
harmonics = 0
modes = 20
file = "own.nc"
"""


def test_a_climate_of_a_weatherbench_archive_is_that_of_its_states(tmp_path):
    folder, path = made.world(tmp_path), tmp_path / "archive.toml"
    last = made.START + (made.FITTED - 1) * made.STEP
    path.write_text(ON_WEATHERBENCH.format(work=folder, start=made.START, end=last))
    command.main([str(path)])
    found, expected = file.read(folder / "own.nc", made.SPACE), file.read(folder / "climate.nc", made.SPACE)
    np.testing.assert_array_equal(found.fitted, expected.fitted)
    np.testing.assert_array_equal(found.correlation.modes, expected.correlation.modes)


def test_states_that_are_missing_or_too_few_and_a_file_without_the_section_are_refused(experiment):
    text = experiment.read_text()
    experiment.write_text(text.replace("1981-04-29", "1981-06-29").replace("check =", "# check ="))
    with pytest.raises(UserError, match="early/1981061000.nc: no such file"):
        command.main([str(experiment)])
    experiment.write_text(text.replace("1981-04-29", "1981-01-09"))
    with pytest.raises(UserError, match="names 5 states; at least 8"):
        command.main([str(experiment)])
    experiment.write_text(text[: text.index("[climate]")])
    with pytest.raises(UserError, match="missing required field climate"):
        command.main([str(experiment)])
    experiment.write_text(text.replace('natures = ["early", "late"]\n', ""))
    with pytest.raises(UserError, match='source = "nature" needs natures, where the states are'):
        command.main([str(experiment)])
    experiment.write_text(text.replace("modes = 10", "mode = 10"))
    with pytest.raises(UserError, match="unknown setting 'mode'"):
        command.main([str(experiment)])
