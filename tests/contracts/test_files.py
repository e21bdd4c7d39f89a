"""Files: write then read is the identity; what does not fit is refused with the file's name and a sentence."""

import errno
import os
import resource
from contextlib import suppress
from dataclasses import fields

import netCDF4
import numpy as np
import pytest
import xarray
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from contracts import analysis, check, field, netcdf, observations, paths, state, static, times
from contracts.errors import ContractError, UserError
from contracts.grid import Grid
from contracts.state import State, StateSpace
from contracts.variables import Flag, Quantity
from tests import builders

identity = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])


@identity
@given(seed=st.integers(0, 1000), nlat=st.integers(2, 5), nlon=st.integers(4, 7),
       hour=st.integers(0, 400_000), member=st.integers(1, 9999))
def test_state_round_trip_is_the_identity(tmp_path, seed, nlat, nlon, hour, member):
    space = builders.space(nlat, nlon)
    before = builders.random_state(space, seed, times.from_seconds(hour * 3600))
    path = tmp_path / "m.nc"
    state.write(path, before, member=member)
    after = state.read(path, space, before.time)
    assert after.space == before.space and after.time == before.time
    np.testing.assert_array_equal(after.data, before.data)


# Of rows that are compared with a model, as some of the fates that are drawn are.
PLACES = {"value": st.floats(allow_nan=False, allow_infinity=False), "lat": st.floats(-90, 90),
          "lon": st.floats(-360, 360), "pressure": st.floats(1e-3, 1.9e5), "time": st.integers(-5 * 10**9, 7 * 10**9),
          "count": st.integers(1, 2**31 - 1)}


@st.composite
def tables(draw):
    n = draw(st.integers(0, 6))
    columns = {}
    for column in fields(observations.Observations):
        dtype = column.metadata["dtype"]
        if column.name == "quantity":
            values = draw(st.lists(st.sampled_from([q.value for q in Quantity]), min_size=n, max_size=n))
        elif column.name == "flag":
            values = draw(st.lists(st.sampled_from([f.value for f in Flag]), min_size=n, max_size=n))
        elif dtype.kind == "S":
            text = st.text(alphabet="ABCXYZ 019", min_size=1, max_size=8).map(lambda s: s.strip().encode())
            values = draw(st.lists(text, min_size=n, max_size=n))
        else:
            values = draw(hnp.arrays(dtype, n, elements=PLACES.get(column.name)))
        columns[column.name] = np.array(values, dtype)
    return observations.Observations(**columns)


@identity
@given(table=tables())
def test_observations_round_trip_is_the_identity(tmp_path, table):
    source = observations.Source(builders.TIME, (builders.TIME, builders.TIME), ("a", "b"), ("1", "2"))
    path = tmp_path / "observations.nc"
    observations.write(path, table, source)
    after, found = observations.read(path)
    assert found == source
    for column in fields(table):
        np.testing.assert_array_equal(getattr(after, column.name), getattr(table, column.name), column.name)


def test_departures_round_trip_keeps_rows_order_and_columns(tmp_path):
    table = builders.observations([1.0, 2.0, 3.0], station=[b"A", b"B", b"C"])
    extra = {name: np.arange(3.0) for name in
             ("background_mean", "background_spread", "analysis_mean", "analysis_spread")}
    rows = {column.name: getattr(table, column.name) for column in fields(table)}
    departures = observations.Departures(**rows, **extra)
    source = observations.Source(builders.TIME, (builders.TIME, builders.TIME))
    observations.write(tmp_path / "departures.nc", departures, source)
    after, _ = observations.read_departures(tmp_path / "departures.nc")
    np.testing.assert_array_equal(after.station, table.station)
    np.testing.assert_array_equal(after.analysis_spread, np.arange(3.0))
    with pytest.raises(ContractError, match="observations/1"):
        observations.read(tmp_path / "departures.nc")


def test_static_and_field_round_trips(tmp_path):
    grid = Grid.regular(4, 8)
    rng = np.random.default_rng(0)
    before = static.Static(grid, rng.normal(size=grid.shape), rng.uniform(size=grid.shape))
    static.write(tmp_path / "static.nc", before)
    after = static.read(tmp_path / "static.nc", grid)
    np.testing.assert_array_equal(after.orography, before.orography)
    np.testing.assert_array_equal(after.land_sea_mask, before.land_sea_mask)

    levels = np.array([5e4, 1e5])
    beta = field.Field("inflation", "1", grid, levels, rng.normal(size=(2, *grid.shape)), builders.TIME)
    field.write(tmp_path / "inflation.nc", beta)
    np.testing.assert_array_equal(field.read(tmp_path / "inflation.nc", "inflation", grid, levels).data, beta.data)
    with pytest.raises(ContractError, match="expected the 8 x 16 grid"):
        field.read(tmp_path / "inflation.nc", "inflation", Grid.regular(8, 16), levels)


def written(tmp_path):
    space = builders.space()
    path = tmp_path / "m0001.nc"
    state.write(path, builders.random_state(space), member=1)
    return path, space


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ContractError, match="m0001.nc: no such file"):
        state.read(tmp_path / "m0001.nc", builders.space())


def test_another_grid_level_or_time_is_refused(tmp_path):
    path, space = written(tmp_path)
    with pytest.raises(ContractError, match=r"m0001.nc: expected the 4 x 8 grid.*got 8 x 16"):
        state.read(path, builders.space(4, 8))
    with pytest.raises(ContractError, match="on levels"):
        state.read(path, builders.space(levels=(60_000.0, 85_000.0)))
    with pytest.raises(ContractError, match="expected the state of 1989010112, got 1989010106"):
        state.read(path, space, times.parse("1989010112"))


def test_other_units_are_refused(tmp_path):
    path, space = written(tmp_path)
    with netCDF4.Dataset(path, "a") as dataset:
        dataset["temperature"].units = "degC"
    with pytest.raises(ContractError, match="expected temperature in 'K', got 'degC'"):
        state.read(path, space)


def test_a_file_without_its_complete_mark_is_refused(tmp_path):
    path, space = written(tmp_path)
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.delncattr("complete")
    with pytest.raises(ContractError, match="never finished"):
        state.read(path, space)


def test_a_truncated_file_is_refused(tmp_path):
    path, space = written(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ContractError, match="m0001.nc: "):
        state.read(path, space)


def test_a_flipped_bit_in_the_data_is_refused(tmp_path):
    """The checksums see it; without them the value would change in silence."""
    path, space = written(tmp_path)
    temperature = builders.random_state(space).field("temperature").astype("<f4").tobytes()
    content = bytearray(path.read_bytes())
    where = content.index(temperature[:64])
    content[where + 5] ^= 0x10
    path.write_bytes(bytes(content))
    with pytest.raises(ContractError, match="damaged"):
        state.read(path, space)


@pytest.mark.parametrize(("name", "again"), [
    ("1989010106/background/m0001.nc", ": run/cycle.sh EXPERIMENT.toml"),
    ("1989010106/observations.nc", ": run/cycle.sh EXPERIMENT.toml"),
    ("1989010106/inflation.nc", ": run/cycle.sh EXPERIMENT.toml --redo analysis 1989010106"),
    ("truth/1989010106.nc", ""),
    ("free/1989010106/ensmean.nc", ""),
])
def test_a_file_that_is_missing_or_damaged_is_told_with_what_makes_it_again(tmp_path, name, again):
    path = tmp_path / name
    with pytest.raises(ContractError) as missing:
        check.read_whole(path)
    assert str(missing.value).partition("file there")[2] == again
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no NetCDF")
    with pytest.raises(ContractError) as damaged:
        check.read_whole(path)
    assert str(damaged.value).endswith(f"; remove it and make it again{again}")


def test_not_finite_states_cannot_be_made():
    space = builders.space()
    data = builders.random_state(space).data.copy()
    data[3, 1, 2] = np.nan
    with pytest.raises(ValueError, match="u_component_of_wind_500 is not finite at lat -56.25, lon 45"):
        state.State(space, data, builders.TIME)


def test_unknown_codes_are_refused(tmp_path):
    table = builders.observations([1.0]).with_columns(flag=np.array([99]))
    observations.write(tmp_path / "o.nc", table, observations.Source(builders.TIME, (builders.TIME, builders.TIME)))
    with pytest.raises(ContractError, match=r"unknown codes \[99\] in column flag"):
        observations.read(tmp_path / "o.nc")


def test_a_failed_write_leaves_nothing_and_keeps_the_old_file(tmp_path):
    path, space = written(tmp_path)
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), netcdf.create(path, "state/1", {}) as dataset:
        dataset.add_dimension("lat", 3)
        raise ZeroDivisionError
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["m0001.nc"]


def test_leftovers_of_a_killed_writer_are_overwritten(tmp_path):
    target = tmp_path / "file"
    (tmp_path / ".file.part").write_text("half")
    with paths.atomic(target) as partial:
        partial.write_text("whole")
    assert target.read_text() == "whole" and not (tmp_path / ".file.part").exists()


def test_states_open_in_xarray_as_a_meteorologist_expects(tmp_path):
    path, space = written(tmp_path)
    with xarray.open_dataset(path) as dataset:
        assert dataset["temperature"].dims == ("time", "level", "lat", "lon")
        assert dataset["time"].values[0] == np.datetime64("1989-01-01T06:00")
        assert dataset["temperature"].attrs["units"] == "K"


def test_files_written_side_by_side_are_all_there_when_the_block_ends(tmp_path):
    space = builders.space()
    states = [builders.random_state(space, seed) for seed in range(12)]
    with paths.side_by_side() as disk:
        for number, one in enumerate(states):
            state.write(tmp_path / f"{number}.nc", one, disk=disk)
    assert len(list(tmp_path.iterdir())) == len(states)  # and nothing temporary beside them
    for number, one in enumerate(states):
        np.testing.assert_array_equal(state.read(tmp_path / f"{number}.nc", space).data, one.data)


def test_what_was_whole_before_a_failure_is_kept_and_the_half_is_not(tmp_path):
    space = builders.space()
    with pytest.raises(ZeroDivisionError), paths.side_by_side() as disk:
        state.write(tmp_path / "whole.nc", builders.random_state(space), disk=disk)
        with netcdf.create(tmp_path / "half.nc", "state/1", {}, disk):
            raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["whole.nc"]


def test_what_is_withheld_appears_at_the_end_and_goes_where_that_fails(tmp_path):
    source = observations.Source(builders.TIME, (builders.TIME, builders.TIME))
    for error in (None, ZeroDivisionError):
        path = tmp_path / f"{error}.nc"
        with suppress(ZeroDivisionError), paths.withheld() as disk:
            observations.write(path, builders.observations([1.0]), source, disk=disk)
            assert not path.exists() and len(list(tmp_path.glob(".*.part"))) == 1
            if error:
                raise error
        assert path.exists() == (error is None) and not list(tmp_path.glob(".*.part"))
    check.read_whole(tmp_path / "None.nc")


def test_a_disk_that_refuses_is_named(tmp_path):
    (tmp_path / "m.nc").mkdir()
    with pytest.raises(UserError, match="m.nc.*could not be written"), paths.side_by_side() as disk:
        state.write(tmp_path / "m.nc", builders.random_state(builders.space()), disk=disk)
    assert [path.name for path in tmp_path.iterdir()] == ["m.nc"]


@pytest.mark.parametrize("beside", [False, True])
def test_a_flush_that_fails_names_the_file_and_leaves_nothing(tmp_path, monkeypatch, beside):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as fsync: without a name

    monkeypatch.setattr(os, "fsync", full)
    words = "m.nc: could not be written .No space left on device.; check the space"
    with (pytest.raises(UserError, match=words), paths.side_by_side() as disk,
          paths.atomic(tmp_path / "m.nc", disk if beside else None) as partial):
        partial.write_text("whole")
    assert not list(tmp_path.iterdir())


def test_a_write_beyond_what_may_be_written_names_the_file_and_leaves_nothing(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with (pytest.raises(UserError, match="curve.png: could not be written .File too large.; check the space"),
              paths.atomic(tmp_path / "curve.png") as partial):
            partial.write_text("more than ten bytes")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_errors_of_the_block_itself_are_the_callers(tmp_path):
    with pytest.raises(FileNotFoundError), paths.side_by_side() as disk, paths.atomic(tmp_path / "m.nc", disk):
        (tmp_path / "nowhere").read_text()


def test_a_forecast_says_when_it_began_and_how_far_it_has_run(tmp_path):
    space, start = builders.space(), times.parse("1988123100")
    state.write(tmp_path / "f.nc", builders.random_state(space), start=start)
    assert state.read(tmp_path / "f.nc", space).time == builders.TIME
    with xarray.open_dataset(tmp_path / "f.nc", decode_timedelta=False) as dataset:
        field = dataset["temperature"]
        assert field.coords["forecast_reference_time"] == np.datetime64("1988-12-31T00:00")
        assert field.coords["forecast_period"] == 30.0 and field.coords["forecast_period"].units == "hours"


@pytest.mark.parametrize(("columns", "words"), [
    ({"lon": 1e10}, "row 0, passed, has lon 1e.10"), ({"time": 2**62}, "has time 4.6"), ({"count": -5}, "has count -5"),
    ({"lat": np.nan}, "has lat nan"), ({"pressure": -1.0}, "has pressure -1"), ({"pressure": np.nan}, "pressure nan"),
])
def test_a_row_that_no_observation_has_is_refused_unless_its_fate_says_so(tmp_path, columns, words):
    path, source = tmp_path / "observations.nc", observations.Source(builders.TIME, (builders.TIME, builders.TIME))
    table = builders.observations([1.0], **columns)
    observations.write(path, table, source)
    with pytest.raises(ContractError, match=words):
        observations.read(path)
    observations.write(path, table.with_columns(flag=np.array([Flag.out_of_range])), source)
    assert len(observations.read(path)[0]) == 1


def test_a_state_beyond_all_states_is_refused(tmp_path):
    path, space = written(tmp_path)
    with netCDF4.Dataset(path, "a") as dataset:
        dataset["temperature"][0, 0, 0, 0] = 1e30
    with pytest.raises(ContractError, match="m0001.nc: temperature reaches 1e.30 K, which no state does"):
        state.read(path, space)


def test_the_height_of_the_stratopause_is_none_beyond_all_states(tmp_path):
    """47 km at 1 hPa: 4.65e5 m2 s-2 (U.S. Standard Atmosphere 1976), for reading and for the end of an analysis."""
    space = StateSpace.of(Grid.regular(4, 8), (100.0, 200.0), ("geopotential",), ())
    high = State(space, np.full(space.shape, 4.65e5), builders.TIME)
    state.write(tmp_path / "m0001.nc", high, member=1)
    assert (state.read(tmp_path / "m0001.nc", space).data == np.float32(4.65e5)).all()
    most, spread = np.full(len(space.channels), 4.65e5), np.ones(len(space.channels))
    analysis.refuse_diverged(space, most, most, spread, spread, 0.01)
    with pytest.raises(UserError, match="geopotential_1 runs from 465000 to 800000, expected .*: it has diverged"):
        analysis.refuse_diverged(space, most, np.full(len(space.channels), 8e5), spread, spread, 0.01)


@pytest.mark.parametrize("size", [3_000_000_000, 200_000_000])
def test_a_file_that_says_it_holds_more_than_a_memory_is_refused_at_once(tmp_path, size):
    path, _ = written(tmp_path)
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.createDimension("vast", size)
        dataset.createVariable("vast", "f8", ("vast",), chunksizes=(1000,))
    with pytest.raises(ContractError, match="m0001.nc: /vast: the arrays up to this one would fill more than"):
        check.read_whole(path)


@pytest.mark.parametrize("attribute", ["contract", "complete"])
@pytest.mark.parametrize("value", [3, [1.0, 2.0], np.zeros(0)])
def test_attributes_of_another_type_are_told(tmp_path, attribute, value):
    path, space = written(tmp_path)
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.setncattr(attribute, value)
    with pytest.raises(ContractError, match="m0001.nc: (expected a file of contract|was never finished)"):
        state.read(path, space)


@pytest.mark.parametrize("place", ["/proc/nothing/may/be/made/here", "/dev/null/x", "n" * 300])
def test_a_folder_that_may_not_be_written_is_one_sentence_with_what_to_do(tmp_path, place):
    """As on a cluster; the system refuses these to root too."""
    with pytest.raises(UserError, match="could not be written .* name another by .*work"), \
            paths.atomic(tmp_path / place / "file"):
        pass


def test_a_file_that_may_not_be_written_is_told_and_one_that_may_not_be_read_is_the_readers(tmp_path):
    with pytest.raises(UserError, match="could not be written"), paths.atomic(tmp_path / "made") as partial:
        raise PermissionError(errno.EACCES, "Permission denied", str(partial))
    with pytest.raises(PermissionError), paths.atomic(tmp_path / "made"):
        raise PermissionError(errno.EACCES, "Permission denied", "/another/file")


def test_times_before_1970_give_seeds(tmp_path):
    early = times.parse("1959010200")
    assert times.to_seed(early) > 0 and times.to_seed(builders.TIME) == times.to_seconds(builders.TIME)
    assert np.random.default_rng(times.to_seed(early)).random() < 1


@pytest.mark.parametrize("axis", ["lat", "lon"])
def test_axes_in_single_precision_are_those_of_the_grid_and_others_are_not(tmp_path, axis):
    space, path = builders.space(7, 11), tmp_path / "m0001.nc"
    before = builders.random_state(space)
    state.write(path, before, member=1)
    with netCDF4.Dataset(path, "a") as dataset:
        dataset[axis][:] = dataset[axis][:].astype(np.float32)
    np.testing.assert_array_equal(state.read(path, space).data, before.data)
    with netCDF4.Dataset(path, "a") as dataset:
        dataset[axis][:] += 1e-3
    with pytest.raises(ContractError, match=r"expected the 7 x 11 grid.*check \[grid\]"):
        state.read(path, space)
