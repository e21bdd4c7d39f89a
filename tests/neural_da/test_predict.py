"""Forecasts from observations through the program and its files, and what each observation does to them."""

import csv
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import torch

from contracts import observations, state
from contracts.errors import UserError
from contracts.observations import Source
from contracts.times import name
from networks import checkpoint as checkpoints
from networks import planes
from networks.card import Card, GridCard
from networks.checkpoint import Checkpoint
from networks.climate import file
from networks.normalization import CONSTANTS, LAND_SEA_MASK, OROGRAPHY, Moments
from networks.o2f import network
from networks.o2f.card import O2FCard
from networks.o2f.network import Forecaster
from neural_da import predict, predict_config, sensitivity
from neural_da.predicting import Predictor
from tests.builders import CLIMATE, TIME
from tests.letkf_mpi import case
from tests.networks.climax_builders import randomise
from tests.neural_da import made, test_climatology_program

SPACE = made.SPACE
STEP = timedelta(hours=6)
START = TIME + STEP  # of the forecast, after observations of two times
KNOWN = [channel for channel in SPACE.channels if channel.variable != "geopotential" and channel.pressure is not None]
SETTINGS = """
[predict]
weights = "small.safetensors"
climate = "climate.nc"
hours = 12
"""


def write_weights(folder, trained: float = 0.1) -> None:
    names, flat = tuple(channel.name for channel in KNOWN), np.zeros(SPACE.grid.shape)
    moments = {channel.name: Moments(mean=CLIMATE[channel.variable][0], std=CLIMATE[channel.variable][1])
               for channel in KNOWN} | {of: Moments(mean=0.0, std=1.0) for of in CONSTANTS}
    own = O2FCard(step_hours=6, times=2, memory=2, widths=(4, 6), blocks=1, seasons=3, footprints="made", dropped=0.6,
                  withheld=0.1, seed=1)
    nlat, nlon = SPACE.grid.shape
    when = datetime(1985, 1, 1, tzinfo=UTC)
    card = Card(name="small", network=own, grid=GridCard(nlat=nlat, nlon=nlon), inputs=(*names, *CONSTANTS),
                outputs=names, normalization=moments, seen=((when, when.replace(month=12)),))
    still = {OROGRAPHY: flat, LAND_SEA_MASK: flat}
    torch.manual_seed(0)
    of = Forecaster(network.shape_of(card), own.memory, SPACE.grid, planes.of(card, still))
    if trained:
        randomise(of, size=trained)
    of.season.copy_(0.1 * torch.randn(of.season.shape))
    weights = {of_it: tensor.numpy() for of_it, tensor in of.state_dict().items()}
    checkpoints.write(folder / "small.safetensors", Checkpoint(card, weights, still))


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """With observations at three times."""
    monkeypatch.delenv("WORK", raising=False)
    found = case.make(tmp_path, 2, nlat=8, nlon=16, more=SETTINGS)
    write_weights(tmp_path)
    file.write(tmp_path / "climate.nc", test_climatology_program.prior(), "made")
    for number in (1, 2):
        time = TIME + number * STEP
        observations.write(found.settings.experiment.folder.at(time).observations, case.table(60, seed=number),
                           Source(time, (time, time)))
    return found


def predictor(experiment, dtype: torch.dtype = torch.float32) -> Predictor:
    found = Predictor.of(predict_config.load(experiment.toml), START)
    return replace(found, network=found.network.to(dtype))


def forecast(experiment, lead: timedelta) -> np.ndarray:
    path = experiment.settings.experiment.folder.at(START).forecast(lead).mean
    return state.read(path, SPACE, START + lead).data


def test_it_writes_each_step_with_the_mean_of_the_date_where_it_knows_nothing(experiment, caplog):
    predict.main([str(experiment.toml), name(START)])
    prior = test_climatology_program.prior()
    known = [SPACE.channels.index(channel) for channel in KNOWN]
    for lead in (STEP, 2 * STEP):
        found = forecast(experiment, lead)
        others = np.setdiff1d(np.arange(len(found)), known)
        np.testing.assert_array_equal(found[others], prior.mean(START + lead)[others].astype(np.float32))
        assert np.abs(found[known] - prior.mean(START + lead)[known]).max() > 0.1
    assert "not forecast, and the mean of the date in all files: geopotential" in caplog.text
    assert not np.array_equal(forecast(experiment, STEP), forecast(experiment, 2 * STEP))


def test_observations_of_all_its_times_matter_and_of_no_other(experiment):
    predict.main([str(experiment.toml), name(START)])
    before, folder = forecast(experiment, STEP), experiment.settings.experiment.folder
    for number, matters in ((0, True), (1, True), (2, False)):
        time = TIME + number * STEP
        table, source = observations.read(folder.at(time).observations)
        observations.write(folder.at(time).observations, replace(table, value=1.001 * table.value), source)
        predict.main([str(experiment.toml), name(START)])
        after = forecast(experiment, STEP)
        assert np.array_equal(before, after) != matters
        before = after


def test_a_network_that_has_learned_nothing_forecasts_its_climate(experiment, tmp_path):
    write_weights(tmp_path, trained=0)
    of = predictor(experiment)
    predict.main([str(experiment.toml), name(START)])
    np.testing.assert_array_equal(forecast(experiment, STEP), of.climate(START + STEP).astype(np.float32))


def test_any_place_and_time_can_be_asked_for(experiment, capsys):
    lat, lon = SPACE.grid.lat[5], SPACE.grid.lon[9]
    predict.main([str(experiment.toml), name(START)])
    predict.main([str(experiment.toml), name(START), "--at", str(lat), str(lon), "9"])
    printed = dict(line.split() for line in capsys.readouterr().out.splitlines())
    ends = [forecast(experiment, number * STEP)[:, 5, 9] for number in (1, 2)]
    for channel in KNOWN:
        number = SPACE.channels.index(channel)
        assert float(printed[channel.name]) == pytest.approx((ends[0][number] + ends[1][number]) / 2, rel=1e-4)
    with pytest.raises(UserError, match="--at: expected a latitude, .* up to .* 12, such as .*, got 95 0 13"):
        predict.main([str(experiment.toml), name(START), "--at", "95", "0", "13"])


def test_weights_that_have_seen_the_time_and_tables_that_say_nothing_are_refused(experiment, tmp_path):
    folder = experiment.settings.experiment.folder
    for number in (0, 1):
        time = TIME + number * STEP
        observations.write(folder.at(time).observations, observations.empty(), Source(time, (time, time)))
    with pytest.raises(UserError, match="none is of what the network knows"):
        predict.main([str(experiment.toml), name(START)])
    card = tmp_path / "small.toml"
    card.write_text(card.read_text().replace("1985-12", "1989-12"))
    with pytest.raises(UserError, match="has seen states of"):
        predict.main([str(experiment.toml), name(START)])


def test_impacts_are_the_slopes_of_j_by_finite_differences(experiment):
    of = predictor(experiment, torch.float64)
    looks, judge = of.looks(START), of.look(START + STEP)
    J, slopes = sensitivity._slopes(of, START, looks, judge, 1, 1.0)
    count, step = sum(len(look.table) for look in looks), 1e-4
    first = len(looks[0].table)

    def at(number: int, change: float) -> float:
        shares = [torch.ones_like(look.seen.departure) for look in looks]
        shares[int(number >= first)][0, number - first * (number >= first)] += change
        seen = [replace(look.seen, share=share) for look, share in zip(looks, shares, strict=True)]
        with torch.no_grad():
            *_, last = of.steps(START, seen, 1)
            return float((judge.seen.departure - judge.seen.stations.observe(last.xi)).square().mean())

    assert at(0, 0.0) == pytest.approx(J, rel=1e-12) and len(slopes) == count > 40
    assert np.count_nonzero(slopes) > 40
    for number in (0, 3, first - 1, first, first + 5, count - 1):
        assert slopes[number] == pytest.approx((at(number, step) - at(number, -step)) / (2 * step), rel=1e-5, abs=1e-9)


def test_impacts_add_up_to_the_change_of_j_and_stand_in_the_table(experiment, tmp_path, capsys):
    write_weights(tmp_path, trained=0.2)
    found = sensitivity.of(predictor(experiment, torch.float64), START, 6)
    assert found.impact.sum() == pytest.approx(found.after - found.before, rel=1e-4)
    assert abs(found.after - found.before) > 0.01
    sensitivity.main([str(experiment.toml), name(START), "--hours", "6"])
    lines = capsys.readouterr().out.splitlines()
    first, second = (number for number, line in enumerate(lines) if line.endswith(("helped", "share")))
    by_type = [float(line.split()[3]) for line in lines[first + 1 : second]]
    assert lines[0].startswith("J ") and any("temperature" in line for line in lines)
    assert sum(by_type) == pytest.approx(found.impact.sum(), rel=0.02)
    with open(experiment.settings.experiment.folder.at(START).folder / "sensitivity_006h.csv") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(found.table)
    assert sum(float(row["impact"]) for row in rows) == pytest.approx(found.impact.sum(), rel=1e-3)
    with pytest.raises(UserError, match="--hours: expected a multiple of the network's step"):
        sensitivity.main([str(experiment.toml), name(START), "--hours", "7"])
