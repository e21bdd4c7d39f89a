"""Data of a training: nature runs and WeatherBench files, through shards, as windows of states."""

from datetime import UTC, datetime, timedelta

import h5py
import netCDF4
import numpy as np
import pytest
import xarray

from contracts import state, static, times
from contracts.errors import ContractError, UserError
from contracts.nature import NatureFolder
from contracts.state import StateSpace
from contracts.static import Static
from networks import train
from networks.data import shards, weatherbench
from networks.data.shards import Series, ShardFolder
from networks.data.sources import NatureSource
from tests import builders
from tests.networks import climax_builders as made
from tests.networks.climax_builders import START, STEP
from tests.networks.training_case import SIX_HOURS, STATES


def when(first: int, last: int) -> list[datetime]:
    return [START + n * STEP for n in range(first, last)]


def source(work) -> NatureSource:
    return NatureSource(made.small_space(), (NatureFolder(work / "nature"),))


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
    with pytest.raises(UserError, match="is no readable HDF5 file .*; remove it and make it again"):
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
    ]
    assert len(expected) == 5 + 4
    np.testing.assert_array_equal(found, expected)


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
            "longitude": where.grid.lon, "latitude": where.grid.lat[::-1], "level": [850, 300, 500]}
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


def test_several_runs_hold_the_states_together(work, tmp_path, settings):
    """Each time is read from the run that has it; where none has it the missing file is named."""
    made.nature_run(work / "late", made.small_space(), 4, START + STATES * STEP)
    small = settings("runs", more='natures = ["nature", "late"]')
    joined = train.source_of(small)
    wanted = when(STATES - 1, STATES + 1)
    expected = np.stack([made.moving_waves(made.small_space(), time) for time in wanted])
    np.testing.assert_allclose(joined.read(wanted), expected, rtol=1e-6)
    with pytest.raises(ContractError, match="no such file"):
        joined.read(when(STATES + 4, STATES + 5))


def test_a_source_is_named_by_the_settings(settings):
    assert isinstance(train.source_of(settings("source")), NatureSource)
    assert train.source_of(settings("source", more='source = "shards"')) is None
    with pytest.raises(UserError, match="needs data"):
        train.source_of(settings("source", more='source = "weatherbench"'))
    with pytest.raises(UserError, match="no such folder"):
        train.source_of(settings("source", more='source = "weatherbench"\ndata = "/nowhere"'))


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


OF_THE_STORE = ("valid_time", "pressure_level", "latitude", "longitude")


def era5_file(path, field, where, units="K", shift=False, names=OF_THE_STORE, first=0, fill=None,
              calendar="proleptic_gregorian"):
    """Temperature (time, level, lat, lon) as the Climate Data Store gives it: from north to south, other names."""
    time, level, lat, lon = names
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = np.arange(where.grid.lon.size)
    turn = np.roll(columns, columns.size // 2) if shift else columns
    with netCDF4.Dataset(path, "w") as dataset:
        for name, values in ((level, where.levels("temperature") / 100), (lat, where.grid.lat[::-1]),
                             (lon, (where.grid.lon[turn] + 180) % 360 - 180 if shift else where.grid.lon)):
            dataset.createDimension(name, len(values))
            dataset.createVariable(name, "f8", (name,))[:] = values
        dataset.createDimension(time, len(field))
        axis = dataset.createVariable(time, "i8", (time,))
        axis.units, axis.calendar = "seconds since 1970-01-01", calendar
        axis[:] = [int((START + (first + n) * STEP).timestamp()) for n in range(len(field))]
        dataset.createDimension("number", 1)
        stored = dataset.createVariable("t", "f4", (lon, "number", time, level, lat), fill_value=fill)
        stored.units = units
        stored[:] = field[..., ::-1, :][..., turn].transpose(3, 0, 1, 2)[:, None]


@pytest.fixture
def warm():
    """A space of temperature on two levels, and four times of it."""
    where = StateSpace.of(builders.space().grid, (50_000.0, 85_000.0), ("temperature",), ())
    return where, np.random.default_rng(0).normal(270, 5, (4, *where.shape)).astype(np.float32)


WHEN = [START + n * STEP for n in range(4)]


@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("names", [OF_THE_STORE, ("time", "level", "lat", "lon"), ("time", "plev", "latitude", "lon")])
def test_era5_of_the_climate_data_store_reads_as_it_is_in_months_too(tmp_path, warm, shift, names):
    where, field = warm
    folder = tmp_path / "temperature"
    era5_file(folder / "temperature_199001a.nc", field[:2], where, shift=shift, names=names)
    era5_file(folder / "temperature_199001b.nc", field[2:], where, shift=shift, names=names, first=2)
    found = weatherbench.of(str(tmp_path), where).read(WHEN)
    np.testing.assert_array_equal(found, field)
    era5_file(folder / "temperature_199001c.nc", field[:1], where, first=3)
    with pytest.raises(UserError, match="c.nc: has 1990010118, and so has .*b.nc; leave one out"):
        weatherbench.of(str(tmp_path), where).read(WHEN)


def test_units_of_a_file_are_read(tmp_path, warm):
    where, field = warm
    path = tmp_path / "temperature" / "temperature_1990.nc"
    era5_file(path, field - 273.15, where, units="degC")
    np.testing.assert_allclose(weatherbench.of(str(tmp_path), where).read(WHEN), field, atol=1e-4)
    for units, words in (("K m", "is in 'K m', expected K"), ("", "runs from .* is it in other units")):
        era5_file(path, field - 273.15, where, units=units)
        with pytest.raises(UserError, match=f"temperature_1990.nc: t {words}"):
            weatherbench.of(str(tmp_path), where).read(WHEN)


@pytest.mark.parametrize("fill", [-9999.0, 1e20, np.nan])
def test_a_missing_value_is_refused_with_file_variable_and_place(tmp_path, warm, fill):
    where, field = warm
    field[2, 1, 3, 5] = fill
    era5_file(tmp_path / "temperature" / "temperature_1990.nc", field, where, fill=fill)
    lat, lon = where.grid.lat[3], where.grid.lon[5]
    with pytest.raises(UserError, match=rf"_1990.nc: t is missing at 1990010112, lat {lat:g}, lon {lon:g}, and at 0 "):
        weatherbench.of(str(tmp_path), where).read(WHEN)


def test_a_value_that_nobody_declared_missing_is_out_of_range(tmp_path, warm):
    where, field = warm
    field[0, 0, 0, 0] = -9999.0
    era5_file(tmp_path / "temperature" / "temperature_1990.nc", field, where)
    with pytest.raises(UserError, match="_1990.nc: t runs from -9999 to .* fill values that it does not declare"):
        weatherbench.of(str(tmp_path), where).read(WHEN)


def test_calendars_without_leap_days_and_statics_that_are_not_there_are_told(tmp_path, warm):
    where, field = warm
    era5_file(tmp_path / "temperature" / "temperature_1990.nc", field, where, calendar="noleap")
    with pytest.raises(UserError, match="has the calendar 'noleap', which is not that of the weather"):
        weatherbench.of(str(tmp_path), where).read(WHEN)
    with pytest.raises(UserError, match="constants: holds no NetCDF file; .* orography .* and lsm"):
        weatherbench.of(str(tmp_path), where).static()
