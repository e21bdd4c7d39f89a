"""Training: data through shards, scores against their definitions, and a small network that learns and resumes."""

import csv
import signal
import time as clock
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import h5py
import msgspec
import netCDF4
import numpy as np
import pytest
import torch
import xarray

from contracts import state, static, times
from contracts.errors import ContractError, UserError
from contracts.static import Static
from model_server import normalization, train
from model_server.models import climax
from model_server.models.base import Batch
from model_server.nature import NatureFolder
from model_server.normalization import Accumulator
from model_server.training import config, loop, samples, shards, sources, statistics, validation, weatherbench
from model_server.training.config import Phase
from model_server.training.loss import Scores, weighted_square
from model_server.training.schedule import learning_rate
from model_server.training.shards import Series, ShardFolder
from model_server.training.sources import NatureSource
from tests import builders
from tests.model_server import climax_builders as made
from tests.model_server.climax_builders import START, STEP
from tests.model_server.conftest import command
from tests.model_server.training_case import STATES, TRAINING, experiment_file

SIX_HOURS = 6 * 3600
def when(first: int, last: int) -> list[datetime]:
    return [START + n * STEP for n in range(first, last)]


def source(work) -> NatureSource:
    return NatureSource(made.small_space(), (NatureFolder(work / "nature"),))


# --- shards ---


@pytest.mark.parametrize("storage", ["float16", "float32"])
@pytest.mark.parametrize("memory", [0.0, 1e9])
def test_states_come_back_from_shards_but_for_rounding(work, tmp_path, storage, memory):
    folder, wanted = ShardFolder(tmp_path), when(0, 30)
    shards.write(source(work), folder, wanted, days=3, storage=storage)
    series = Series(folder, made.small_space(), memory)
    expected = np.stack([made.moving_waves(made.small_space(), time) for time in wanted])
    np.testing.assert_array_equal(series.seconds, [times.to_seconds(time) for time in wanted])
    number = np.random.default_rng(0).permutation(30)
    error = np.abs(series.fields(number) - expected[number])
    anomaly = np.abs(expected - expected.mean(axis=0)).max(axis=(0, 2, 3), keepdims=True)
    rounding = 2.0 ** (-10 if storage == "float16" else -18)
    assert (error <= rounding * anomaly + 2.0**-22 * np.abs(expected)).all()
    np.testing.assert_array_equal(series.static().orography, source(work).static().orography)


def test_only_missing_shards_are_written(work, tmp_path):
    folder = ShardFolder(tmp_path)
    shards.write(source(work), folder, when(0, 24), days=3, storage="float16")
    first, *rest = folder.shards()
    kept = {path: path.stat().st_mtime_ns for path in rest}
    first.unlink()
    shards.write(source(work), folder, when(0, 24), days=3, storage="float16")
    assert first.exists()
    assert {path: path.stat().st_mtime_ns for path in rest} == kept
    shards.write(source(work), folder, when(0, 25), days=3, storage="float16")  # the last one grows
    assert len(Series(folder, made.small_space(), 1e9).seconds) == 25


def test_a_time_that_the_nature_run_lacks_is_named(work, tmp_path):
    with pytest.raises(ContractError, match="1990012500.nc: no such file"):
        shards.write(source(work), ShardFolder(tmp_path), when(STATES - 1, STATES + 1), days=3, storage="float16")


def test_damaged_and_foreign_shards_are_refused(work, tmp_path):
    folder = ShardFolder(tmp_path)
    shards.write(source(work), folder, when(0, 8), days=10, storage="float16")
    with pytest.raises(UserError, match=r"expected a shard/1 file of 19 channels.*got geopotential_500"):
        Series(folder, builders.space(), 1e9)
    with pytest.raises(UserError, match="holds no shards"):
        Series(ShardFolder(tmp_path / "nowhere"), made.small_space(), 1e9)
    (path,) = folder.shards()
    content = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        content[file["fields"].id.get_chunk_info(3).byte_offset + 100] ^= 1
    path.write_bytes(content)
    for memory in (0, 1e9):
        with pytest.raises(UserError, match="is damaged"):
            Series(folder, made.small_space(), memory).fields([3])
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match="is no readable HDF5 file"):
        Series(folder, made.small_space(), 1e9)


def test_windows_hold_all_their_times_and_lie_inside_the_period(work, tmp_path):
    present = [*when(0, 10), *when(12, 20)]  # two times are missing
    shards.write(source(work), ShardFolder(tmp_path), present, days=3, storage="float32")
    series = Series(ShardFolder(tmp_path), made.small_space(), 1e9)
    found = series.starts(START + 2 * STEP, START + 18 * STEP, SIX_HOURS, 3)
    expected = [
        [present.index(time + n * STEP) for n in range(4)]
        for time in present
        if time >= START + 2 * STEP and time + 3 * STEP <= START + 18 * STEP
        and all(time + n * STEP in present for n in range(4))
    ]  # fmt: skip
    assert len(expected) == 5 + 4
    np.testing.assert_array_equal(found, expected)


# --- WeatherBench ---


def weatherbench_netcdf(folder, fields: dict, still: Static, grid) -> None:
    for name, (levels, values) in fields.items():
        (folder / name).mkdir(parents=True)
        with netCDF4.Dataset(folder / name / f"{name}_5.625deg_1990.nc", "w") as dataset:
            _axes(dataset, grid)
            dataset.createDimension("time", len(values))
            hours = dataset.createVariable("time", "i4", ("time",))
            hours.units = "hours since 1900-01-01 00:00:00.0"
            stamps = [START.replace(tzinfo=None) + n * STEP for n in range(len(values))]
            hours[:] = netCDF4.date2num(stamps, hours.units)
            dimensions = ["time", "lat", "lon"]
            if levels is not None:
                dataset.createDimension("level", len(levels))
                dataset.createVariable("level", "i4", ("level",))[:] = levels
                dimensions.insert(1, "level")
            short = weatherbench.SHORT_NAMES[name]
            dataset.createVariable(short, "f4", dimensions)[:] = values
    (folder / "constants").mkdir()
    with netCDF4.Dataset(folder / "constants/constants_5.625deg.nc", "w") as dataset:
        _axes(dataset, grid)
        dataset.createVariable("orography", "f4", ("lat", "lon"))[:] = still.orography
        dataset.createVariable("lsm", "f4", ("lat", "lon"))[:] = still.land_sea_mask


def _axes(dataset, grid) -> None:
    for name, values in (("lat", grid.lat), ("lon", grid.lon)):
        dataset.createDimension(name, values.size)
        dataset.createVariable(name, "f4", (name,))[:] = values


def weatherbench_fields(count: int):
    """Fields (time, channel, lat, lon) and the same by variable with one level more, in another order."""
    where = made.small_space()
    data = np.stack([made.moving_waves(where, START + n * STEP) for n in range(count)])
    by_name = {}
    for name in where.variables:
        own = data[:, where.index(name)]
        if name.startswith("2m"):
            by_name[name] = (None, own[:, 0])
        else:
            by_name[name] = ([850, 300, 500], np.stack([own[:, 1], 0 * own[:, 0], own[:, 0]], axis=1))
    return data, by_name


def test_weatherbench_netcdf_reads_as_the_states_it_holds(tmp_path, work):
    data, by_name = weatherbench_fields(6)
    where, still = made.small_space(), source(work).static()
    weatherbench_netcdf(tmp_path, by_name, still, where.grid)
    found = weatherbench.of(str(tmp_path), where)
    np.testing.assert_array_equal(found.read([START + 4 * STEP, START]), data[[4, 0]])
    np.testing.assert_array_equal(found.static().orography, still.orography)
    with pytest.raises(UserError, match="has no 1990010212, 1 times are missing"):
        found.read([START, START + 6 * STEP])
    with pytest.raises(UserError, match="expected the 4 x 8 grid"):
        weatherbench.of(str(tmp_path), builders.space(4, 8)).static()


def test_weatherbench_zarr_reads_as_the_states_it_holds(tmp_path, work):
    data, by_name = weatherbench_fields(6)
    where, still = made.small_space(), source(work).static()
    axes = {"time": [np.datetime64(START.replace(tzinfo=None), "ns") + np.timedelta64(6 * n, "h") for n in range(6)],
            "longitude": where.grid.lon, "latitude": where.grid.lat[::-1], "level": [850, 300, 500]}  # fmt: skip
    variables: dict = {
        "land_sea_mask": (("longitude", "latitude"), still.land_sea_mask.T[:, ::-1]),
        "geopotential_at_surface": (("longitude", "latitude"), 9.80665 * still.orography.T[:, ::-1]),
    }
    for name, (levels, values) in by_name.items():
        turned = np.swapaxes(values, -1, -2)[..., ::-1]
        variables[name] = (("time", *(["level"] if levels else []), "longitude", "latitude"), turned)
    xarray.Dataset(variables, axes).to_zarr(tmp_path / "era5.zarr", zarr_format=2)
    found = weatherbench.of(str(tmp_path / "era5.zarr"), where)
    np.testing.assert_array_equal(found.read([START + 4 * STEP, START]), data[[4, 0]])
    np.testing.assert_allclose(found.static().orography, still.orography, rtol=1e-6)
    with pytest.raises(UserError, match="has no 1990010212"):
        found.read([START + 6 * STEP])


# --- statistics and scores against their definitions ---


def test_accumulated_moments_are_those_of_the_whole():
    rng, weights = np.random.default_rng(0), builders.space().grid.area_weights
    fields = rng.standard_normal((20, 3, 8, 16)) * np.array([1, 1e-3, 500])[:, None, None] + np.array(
        [0, 5e-3, 3e5])[:, None, None]  # fmt: skip
    sums = Accumulator(weights)
    for piece in np.split(fields, [1, 7]):
        sums.add(piece.astype(np.float32))
    mean, std = sums.result()
    w = weights / weights.sum() / len(fields)
    expected = (fields.astype(np.float32).astype(float) * w).sum(axis=(2, 3)).sum(axis=0)
    np.testing.assert_allclose(mean, expected, rtol=1e-9, atol=1e-12)
    square = ((fields.astype(np.float32) - expected[:, None, None]) ** 2 * w).sum(axis=(0, 2, 3))
    np.testing.assert_allclose(std, np.sqrt(square), rtol=1e-6)


def test_a_constant_without_variation_keeps_its_scale():
    found = normalization.of_constants({"flat": np.full((8, 16), 2.5)}, builders.space().grid.area_weights)["flat"]
    assert (found.mean, found.std) == (2.5, 1.0)


def test_the_climatology_finds_the_seasons():
    rng = np.random.default_rng(1)
    coefficients = rng.standard_normal((5, 2, 4, 8)).astype(np.float32)
    seconds = np.arange(0, 2 * 366 * 86400, 86400)
    made_up = statistics.Climatology(coefficients).at(seconds)

    class Seasons:
        """A series of nothing but seasons."""

        space = builders.space(4, 8)

        def __init__(self):
            self.seconds = seconds

        def fields(self, index):
            return made_up[index]

    Seasons.space = type("Space", (), {"grid": builders.space(4, 8).grid, "shape": (2, 4, 8)})
    pairs = np.stack([np.arange(len(seconds) - 1), np.arange(1, len(seconds))], axis=1)
    found = statistics._compute(Seasons(), pairs)  # type: ignore[arg-type]
    np.testing.assert_allclose(found["climatology"], coefficients, atol=2e-5)


def test_rmse_and_acc_are_those_of_their_definition():
    rng, weights = np.random.default_rng(2), builders.space().grid.area_weights
    forecast, truth, mean = (rng.standard_normal((5, 3, 8, 16)) for _ in range(3))
    sums = Scores(weights)
    for piece in (slice(0, 2), slice(2, 5)):
        sums.add(forecast[piece], truth[piece], mean[piece])
    for channel in range(3):
        square, total, correlations = 0.0, 0.0, []
        for time in range(5):
            cross = ahead = real = 0.0
            for i in range(8):
                for j in range(16):
                    f, o = (x[time, channel, i, j] for x in (forecast, truth))
                    c, w = mean[time, channel, i, j], weights[i, j]
                    square, total = square + w * (f - o) ** 2, total + w
                    cross, ahead, real = (cross + w * (f - c) * (o - c), ahead + w * (f - c) ** 2,
                                          real + w * (o - c) ** 2)  # fmt: skip
            correlations.append(cross / np.sqrt(ahead * real))
        assert sums.rmse[channel] == pytest.approx(np.sqrt(square / total), rel=1e-12)
        assert sums.acc[channel] == pytest.approx(np.mean(correlations), rel=1e-12)


def test_perfect_and_climatological_forecasts_have_their_scores():
    truth = np.random.default_rng(3).standard_normal((4, 2, 8, 16))
    perfect, mean = (Scores(builders.space().grid.area_weights) for _ in range(2))
    perfect.add(truth, truth, np.zeros_like(truth))
    mean.add(np.zeros_like(truth), truth, np.zeros_like(truth))
    np.testing.assert_allclose(perfect.acc, 1.0)
    assert (perfect.rmse == 0).all()
    assert (mean.acc == 0).all()


def test_the_loss_is_one_for_persistence_of_a_tendency_of_one_standard_deviation():
    weights = torch.tensor(builders.space().grid.area_weights)
    scale = torch.tensor([2.0, 5.0])[:, None, None]
    truth = torch.zeros(3, 2, 8, 16, dtype=torch.float64)
    assert float(weighted_square(truth + scale, truth, scale, weights)) == pytest.approx(1.0)


def test_the_learning_rate_warms_up_and_falls_along_a_cosine():
    phase = Phase(epochs=1, learning_rate=1.0, warmup_steps=4, final_fraction=0.1)
    rates = [learning_rate(phase, step, 15) for step in range(15)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4] == 1.0
    assert rates[9] == pytest.approx(0.55)
    assert rates[14] == pytest.approx(0.1)
    assert all(a >= b for a, b in zip(rates[4:], rates[5:], strict=False))


def test_an_epoch_is_a_permutation_of_the_samples_drawn_from_seed_phase_and_epoch():
    windows = np.arange(40).reshape(20, 2)
    pieces = samples.batches(windows, 4, seed=1, phase=0, epoch=0)
    assert [len(piece) for piece in pieces] == [4] * 5
    np.testing.assert_array_equal(np.sort(np.concatenate(pieces), axis=0), windows)
    again = samples.batches(windows, 4, seed=1, phase=0, epoch=0)
    np.testing.assert_array_equal(np.concatenate(pieces), np.concatenate(again))
    for other in ((2, 0, 0), (1, 1, 0), (1, 0, 1)):
        assert not np.array_equal(np.concatenate(samples.batches(windows, 4, *other)), np.concatenate(pieces))


def test_an_epoch_of_few_samples_draws_others_each_time():
    windows = np.arange(40)[:, None]
    first, second = (np.concatenate(samples.batches(windows, 4, 1, 0, epoch, limit=9)) for epoch in (0, 1))
    assert len(first) == len(second) == 8
    assert not np.array_equal(np.sort(first, axis=0), np.sort(second, axis=0))
    assert samples.batch_count(40, 4, 9) == 2
    assert samples.batch_count(7, 4, None) == 1


def test_validation_forecasts_are_spread_over_the_year():
    windows = np.arange(100)[:, None]
    np.testing.assert_array_equal(validation.spread(windows, 4)[:, 0], [0, 33, 66, 99])
    assert validation.spread(windows, 200) is windows


# --- the training itself ---


def table(path) -> list[dict]:
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_small_network_learns_the_waves_and_serves_as_a_model(settings):
    small = settings("learns", epochs=12)
    train.write_shards(small)
    path = loop.train(small)
    epochs = table(small.folder / "curves.csv")
    assert [row["rollout"] for row in epochs] == ["1"] * 12 + ["2"]
    assert float(epochs[11]["validation_loss"]) < 0.3 < 0.8 < float(epochs[0]["training_loss"])
    assert (small.folder / "curves.png").stat().st_size > 10_000

    scores = {(row["phase"], row["epoch"], row["lead_hours"], row["channel"], row["kind"]): float(row["rmse"])
              for row in table(small.folder / "scores.csv")}  # fmt: skip
    for lead in ("6", "12"):
        forecast = scores["2", "1", lead, "temperature_500", "forecast"]
        assert forecast < 0.6 * scores["", "", lead, "temperature_500", "persistence"]

    # The weights as the forecast command loads them give the forecasts that were scored.
    model = climax.model_of(climax.load(path), small.space, torch.device("cpu"), str(path))
    start = START + 70 * STEP
    first, later = (made.moving_waves(small.space, time) for time in (start, start + STEP))
    ahead = model.step(Batch(start, first[None], (None,))).data[0]
    rms = np.sqrt(((ahead - later) ** 2).mean(axis=(1, 2)) / ((first - later) ** 2).mean(axis=(1, 2)))
    assert rms.max() < 0.7
    assert model.lanes[0].stepping.card.normalization["temperature_500"].tendency_std == pytest.approx(
        tendency_std(small, "temperature_500"), rel=1e-3)  # fmt: skip


def tendency_std(small: config.Settings, name: str) -> float:
    """From all states of the training period, by its definition."""
    number = [channel.name for channel in small.space.channels].index(name)
    count = int((small.experiment.end - START) / STEP) + 1
    fields = np.stack([made.moving_waves(small.space, START + n * STEP)[number] for n in range(count)]).astype(float)
    change, weights = np.diff(fields, axis=0), small.space.grid.area_weights / small.space.grid.size
    mean = (change * weights).sum(axis=(1, 2)).mean()
    return float(np.sqrt(((change - mean) ** 2 * weights).sum(axis=(1, 2)).mean()))


def test_validation_of_a_known_step_is_exact(settings):
    """A network that leaves everything as it is scores as persistence does."""
    small = settings("exact")
    train.write_shards(small)
    trainer = loop.prepared(small)
    cpu = torch.device("cpu")
    scores = trainer.validation.scores(lambda fields: fields, cpu)
    persistence = [score for score in trainer.validation.references() if score.kind == "persistence"]
    assert [(s.lead_hours, s.channel, s.rmse, s.acc) for s in scores] == [
        (s.lead_hours, s.channel, s.rmse, s.acc) for s in persistence
    ]  # fmt: skip
    loss = trainer.validation.loss(lambda fields: fields, 1, trainer.stepping.scale, trainer.weights, cpu)
    by_score = [score.rmse**2 for score in persistence if score.lead_hours == 6]
    assert loss == pytest.approx(np.mean(np.array(by_score) / trainer.stepping.scale.numpy().ravel() ** 2), rel=1e-4)


def test_no_time_of_the_validation_period_is_trained_on(settings):
    small = settings("apart")
    train.write_shards(small)
    trainer = loop.prepared(small)
    first, last = (times.to_seconds(time) for time in small.validation)
    trained = trainer.series.seconds[np.unique(np.concatenate([window.ravel() for window in trainer.windows]))]
    assert not ((trained >= first) & (trained <= last)).any()
    unseen = trainer.series.seconds[trainer.validation.windows]
    assert unseen.min() >= first
    assert unseen.max() <= last
    whole = small.experiment.start, small.experiment.end
    np.testing.assert_array_equal(trainer.windows[1], trainer.series.starts(*whole, SIX_HOURS, 2))


PERIODS = """
[[training.periods]]
start = 1990-01-09T00:00:00Z
end = 1990-01-12T18:00:00Z
[[training.periods]]
start = 1990-01-01T00:00:00Z
end = 1990-01-08T18:00:00Z
"""


def test_a_disturbance_has_the_strength_and_the_patterns_it_says():
    """Variance one over many fields, half of it smooth, each field with a strength of its own; the same each time."""
    noise = samples.disturbance((40, 30, 32, 64), 1, 0, 2, 3)
    assert noise.std() == pytest.approx(1.0, abs=0.05)
    strength = noise.std(axis=(-2, -1)).ravel()
    assert strength.mean() == pytest.approx(np.sqrt(2 / np.pi), abs=0.05)  # of |N(0, 1)|
    unit = noise / noise.std(axis=(-2, -1), keepdims=True)
    neighbours = (unit * np.roll(unit, 1, axis=-1)).mean()
    assert neighbours == pytest.approx(0.5 * np.exp(-1 / (4 * samples.SMOOTH**2)), abs=0.03)
    np.testing.assert_array_equal(noise, samples.disturbance((40, 30, 32, 64), 1, 0, 2, 3))
    assert (noise != samples.disturbance((40, 30, 32, 64), 1, 0, 2, 4)).all()


def test_a_phase_may_be_added_to_a_finished_training(settings):
    """It goes on from the weights that were best, here with noise, and does not begin anew."""
    small = settings("longer")
    train.write_shards(small)
    loop.train(small)
    more = small.folder.parent.parent / "longer.toml"
    more.write_text(more.read_text() + "[[training.phases]]\nepochs = 1\nnoise = 3.0\nlearning_rate = 1e-4\n")
    longer = config.load(more)
    loop.train(longer)
    rows = table(longer.folder / "curves.csv")
    assert [row["phase"] for row in rows] == ["1", "2", "3"]
    assert float(rows[2]["training_loss"]) > float(rows[1]["training_loss"])  # it began with noise
    more.write_text(more.read_text().replace("learning_rate = 4e-3", "learning_rate = 3e-3"))
    with pytest.raises(UserError, match="is a training with phases"):
        loop.train(config.load(more))


def test_no_sample_reaches_from_one_period_into_another(settings):
    """Two runs may meet in time; the step from the one into the other never was."""
    small = settings("periods", more=PERIODS)
    train.write_shards(small)
    trainer = loop.prepared(small)
    border = times.to_seconds(START + 32 * STEP)
    for steps, windows in zip((1, 2), trainer.windows, strict=True):
        seconds = trainer.series.seconds[windows]
        assert not ((seconds[:, 0] < border) & (seconds[:, -1] >= border)).any()
        assert len(windows) == 32 - steps + 16 - steps
    assert "1990010100 to 1990010818 and 1990010900 to 1990011218" in trainer.card.about
    with pytest.raises(UserError, match="overlaps the one that starts on 1990-01-08"):
        settings("overlap", more=PERIODS.replace("1990-01-09", "1990-01-08"))


def test_several_runs_hold_the_states_together(work, tmp_path, settings):
    """Each time is read from the run that has it; where none has it the missing file is named."""
    made.nature_run(work / "late", made.small_space(), 4, START + STATES * STEP)
    small = settings("runs", more='natures = ["nature", "late"]')
    joined = sources.of(small)
    wanted = when(STATES - 1, STATES + 1)
    expected = np.stack([made.moving_waves(made.small_space(), time) for time in wanted])
    np.testing.assert_allclose(joined.read(wanted), expected, rtol=1e-6)
    with pytest.raises(ContractError, match="no such file"):
        joined.read(when(STATES + 4, STATES + 5))


def test_a_training_killed_at_any_point_ends_with_the_same_bits(work, settings):
    more = "save_minutes = 0.002\npatience = 50\noptimiser = 'muon'"
    whole, cut = settings("whole", 4, more), settings("cut", 4, more)
    train.write_shards(whole)
    environment = {"WORK": str(work)}
    uninterrupted = command("train", str(work / "whole.toml"), **environment)
    for _ in range(2):
        killed = command("train", str(work / "cut.toml"), **environment)
        seen = cut.folder / "state.pt"
        before = seen.stat().st_mtime_ns if seen.exists() else 0
        while killed.poll() is None and (not seen.exists() or seen.stat().st_mtime_ns <= before):
            clock.sleep(0.01)
        clock.sleep(0.1)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        assert killed.returncode == -signal.SIGKILL
    resumed = command("train", str(work / "cut.toml"), **environment)
    for process in (uninterrupted, resumed):
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
    assert "goes on at phase" in output
    for name in ("curves.csv", "scores.csv"):
        assert (cut.folder / name).read_text() == (whole.folder / name).read_text()
    weights = [climax.load(one.folder / f"{one.experiment.name}.safetensors").weights for one in (whole, cut)]
    for name, array in weights[0].items():
        np.testing.assert_array_equal(array, weights[1][name])


def test_a_training_goes_on_only_with_the_settings_it_was_begun_with(settings):
    small = settings("fixed", epochs=1)
    train.write_shards(small)
    loop.train(small)
    with pytest.raises(UserError, match=r"state.pt: is a training with predicts = tendency, asked for field"):
        loop.train(settings("fixed", epochs=1, more='predicts = "field"'))
    loop.train(settings("fixed", epochs=1, more="save_minutes = 1"))
    (small.folder / "state.pt").write_bytes((small.folder / "state.pt").read_bytes()[:5000])
    with pytest.raises(UserError, match="is no training that can go on"):
        loop.train(small)


def test_settings_that_a_training_did_not_know_count_as_their_defaults(settings):
    """Such as come with a later version."""
    small = settings("earlier", epochs=1)
    train.write_shards(small)
    loop.train(small)
    where = small.folder / "state.pt"
    content = torch.load(where, weights_only=True)
    known = msgspec.json.decode(content["settings"])
    del known["training"]["unobserved"], known["training"]["phases"][0]["mixing"]
    torch.save(content | {"settings": msgspec.json.encode(known).decode()}, where)
    loop.train(small)
    with pytest.raises(UserError, match=r"is a training with unobserved = \{\}, asked for"):
        loop.train(settings("earlier", epochs=1, more="unobserved = { 2m_temperature = 1.0 }"))


def test_a_phase_ends_when_patience_does(settings, monkeypatch):
    small = settings("patient", epochs=9, more="patience = 2")
    train.write_shards(small)
    losses = iter([3.0, 2.0, 2.5, 2.5, 1.0])
    monkeypatch.setattr(validation.Validation, "loss", lambda *_: next(losses))
    loop.train(small)
    found = [(row["phase"], row["epoch"]) for row in table(small.folder / "curves.csv")]
    assert found == [("1", "1"), ("1", "2"), ("1", "3"), ("1", "4"), ("2", "1")]


def test_predicting_the_field_learns_too(settings):
    small = settings("field", epochs=3, more='predicts = "field"')
    train.write_shards(small)
    path = loop.train(small)
    assert climax.load(path).card.predicts == "field"
    rows = table(small.folder / "curves.csv")
    assert float(rows[2]["validation_loss"]) < 0.85 * float(rows[0]["training_loss"])


def test_shards_alone_are_enough_on_another_machine(settings, work, tmp_path, monkeypatch):
    train.main([str(experiment_file(work, "here", 1, f'shards = "{tmp_path / "s"}"')), "--shards-only"])
    monkeypatch.setenv("WORK", str(tmp_path))
    there = experiment_file(tmp_path, "there", 1, f'shards = "{tmp_path / "s"}"\nsource = "shards"')
    train.main([str(there)])
    assert (tmp_path / "there/training/there.safetensors").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("validation_start = 1990-01-17T06:00:00Z", "validation_start = 1990-01-16T18:00:00Z"), "overlaps"),
        (("leads_hours = [6, 12]", "leads_hours = [7]"), "leads_hours 7 is no multiple"),
        (("rollout = 2", "rolout = 2"), "rolout"),
        (("batch = 8", "batch = 0"), r"\[training\] batch"),
        (("embed_dim = 32", "embed_dimension = 32"), "unknown setting 'embed_dimension'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path, change, sentence):
    text = TRAINING.format(name="n", epochs=1, more="")
    assert change[0] in text
    (tmp_path / "e.toml").write_text(text.replace(*change))
    with pytest.raises(UserError, match=sentence):
        config.load(tmp_path / "e.toml")


def test_mixing_is_refused_where_the_batch_has_no_other_states(tmp_path):
    text = TRAINING.format(name="n", epochs=1, more="").replace("rollout = 2", "rollout = 2\nmixing = 0.1")
    for batch, sentence in [(3, "batch must be 4 or more, got 3"), (4, None)]:
        (tmp_path / "e.toml").write_text(text.replace("batch = 8", f"batch = {batch}"))
        with pytest.raises(UserError, match=sentence) if sentence else nullcontext():
            config.load(tmp_path / "e.toml")


def test_too_few_data_are_refused(settings):
    small = settings("few", more="")
    train.write_shards(small)
    few = experiment_file(small.folder.parent.parent, "few", 1)
    few.write_text(few.read_text().replace("batch = 8", "batch = 500"))
    with pytest.raises(UserError, match="at least one batch of 500 is needed"):
        loop.prepared(config.load(few))


def test_a_source_is_named_by_the_settings(settings):
    assert isinstance(sources.of(settings("source")), NatureSource)
    assert sources.of(settings("source", more='source = "shards"')) is None
    with pytest.raises(UserError, match="needs data"):
        sources.of(settings("source", more='source = "weatherbench"'))
    with pytest.raises(UserError, match="no such folder"):
        sources.of(settings("source", more='source = "weatherbench"\ndata = "/nowhere"'))


def test_a_shard_says_what_it_is(work, tmp_path):
    shards.write(source(work), ShardFolder(tmp_path), when(0, 3), days=10, storage="float16")
    (path,) = ShardFolder(tmp_path).shards()
    with h5py.File(path) as file:
        assert file.attrs["contract"] == "shard/1"
        assert list(file.attrs["channels"]) == [channel.name for channel in made.small_space().channels]
        assert file["fields"].dtype == np.float16
        assert file["fields"].fletcher32
    assert state.read(NatureFolder(work / "nature").state(START), made.small_space()).time == START
    assert static.read(ShardFolder(tmp_path).static, made.small_space().grid).grid == made.small_space().grid
    assert timedelta(hours=6) == STEP
    assert START.tzinfo is UTC
