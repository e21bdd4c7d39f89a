"""What is handed on to others holds the numbers of the files, under names that their tools know."""

from datetime import timedelta
from types import SimpleNamespace

import eccodes
import numpy as np
import pandas
import pytest
import xarray

from contracts import config, state
from contracts.errors import UserError
from contracts.grid import Grid
from contracts.state import StateSpace
from contracts.variables import VARIABLES, Flag, Quantity
from tests import builders
from tests.verify.case import MEMBERS, TIMES, departures, experiment
from verify import __main__ as verify
from verify.config import Settings
from verify.exports import grib


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The experiment file and its settings; spreads stand beside the means."""
    path = experiment(tmp_path, monkeypatch)
    settings = config.load(path, Settings)
    space = settings.state.space(settings.grid.grid())
    for n, time in enumerate(TIMES):
        here = settings.experiment.folder.at(time)
        for ensemble in (here.background, here.analysis):
            state.write(ensemble.spread, builders.random_state(space, 30 + n, time), statistic="spread")
    return path, settings, space


@pytest.mark.parametrize("name", ["out.nc", "out.zarr"])
def test_a_dataset_holds_all_members_of_all_times_and_is_read_lazily(made, tmp_path, name, capsys):
    path, settings, space = made
    out = tmp_path / name
    verify.main(["dataset", str(path), str(out)])
    assert capsys.readouterr().out.strip() == str(out)
    open_it = xarray.open_zarr if name.endswith("zarr") else xarray.open_dataset
    with open_it(out, chunks={}) as found:
        assert found["temperature"].dims == ("time", "realization", "level", "lat", "lon")
        assert found["temperature"].data.chunksize == (1, 1, 3, 8, 16)
        assert found["level_hpa"].values.tolist() == [500, 850, 925]
        assert found["realization"].values.tolist() == [1, 2, 3]
        assert [f"{stamp:%Y%m%d%H}" for stamp in found["time"].to_index()] == [f"{time:%Y%m%d%H}" for time in TIMES]
        for t, time in enumerate(TIMES):
            for m in range(MEMBERS):
                one = state.read(settings.experiment.folder.at(time).analysis.member(m + 1), space, time)
                np.testing.assert_array_equal(found["geopotential"].values[t, m], one.field("geopotential"))
                np.testing.assert_array_equal(found["2m_temperature"].values[t, m], one.field("2m_temperature")[0])


@pytest.mark.parametrize("name", ["out.nc", "out.zarr"])
def test_mean_and_spread_are_what_is_left_when_members_are_gone(made, tmp_path, name):
    path, settings, space = made
    for time in TIMES:
        here = settings.experiment.folder.at(time).background
        for member in here.members(MEMBERS):
            member.unlink()
    with pytest.raises(UserError, match="nor those of 1 other times .*take mean and spread with --moments"):
        verify.main(["dataset", str(path), str(tmp_path / name), "--of", "background"])
    assert not (tmp_path / name).exists()
    verify.main(["dataset", str(path), str(tmp_path / name), "--of", "background", "--moments"])
    with (xarray.open_zarr if name.endswith("zarr") else xarray.open_dataset)(tmp_path / name) as found:
        for t, time in enumerate(TIMES):
            here = settings.experiment.folder.at(time).background
            for suffix, file in (("", here.mean), ("_spread", here.spread)):
                one = state.read(file, space, time).field("temperature")
                np.testing.assert_array_equal(found[f"temperature{suffix}"].values[t], one)
        assert found["temperature_spread"].attrs["cell_methods"] == "realization: standard_deviation"


def test_a_folder_that_is_no_store_is_left_alone(made, tmp_path):
    other = tmp_path / "mine.zarr"
    other.mkdir()
    (other / "thesis.tex").touch()
    with pytest.raises(UserError, match="is there and no zarr store"):
        verify.main(["dataset", str(made[0]), str(other)])
    assert (other / "thesis.tex").exists()


def test_a_store_is_written_anew(made, tmp_path):
    for _ in range(2):
        verify.main(["dataset", str(made[0]), str(tmp_path / "out.zarr"), "--moments"])
    assert sorted(path.name for path in tmp_path.glob("*zarr*")) == ["out.zarr"]


def test_departures_are_a_table_of_words_times_and_numbers(made, tmp_path):
    path, settings, _ = made
    verify.main(["departures", str(path), str(tmp_path / "out.parquet")])
    found = pandas.read_parquet(tmp_path / "out.parquet")
    both = [departures(n) for n in range(len(TIMES))]
    assert len(found) == sum(map(len, both))
    assert found["cycle_time"].unique().tolist() == [pandas.Timestamp(time) for time in TIMES]
    assert found["station"].unique().tolist() == ["00001"] and found["message_type"].unique().tolist() == ["ADPUPA"]
    for name, enumeration in (("quantity", Quantity), ("flag", Flag)):
        assert found[name].tolist() == [enumeration(code).name for table in both for code in getattr(table, name)]
    for name in ("value", "background_mean", "analysis_spread", "lat"):
        np.testing.assert_array_equal(found[name], np.concatenate([getattr(table, name) for table in both]))
    assert found["time"].unique().tolist() == [pandas.Timestamp(builders.TIME)]


def messages(path):
    """Of each GRIB message its keys and values, rows from the south."""
    with open(path, "rb") as stream:
        while (message := eccodes.codes_grib_new_from_file(stream)) is not None:
            keys = {key: eccodes.codes_get(message, key) for key in KEYS}
            shape = eccodes.codes_get(message, "Nj"), eccodes.codes_get(message, "Ni")
            values, lat, lon = (eccodes.codes_get_array(message, key).reshape(shape)[::-1]
                                for key in ("values", "latitudes", "longitudes"))
            yield keys, values, lat[:, 0], lon[0]
            eccodes.codes_release(message)


KEYS = ("shortName", "validityDate", "validityTime", "stepRange", "dataType", "gridType", "typeOfLevel", "level")


def states_of(space, **more):
    """States as `verify.exports.chosen` gives them, of one random field."""
    one = builders.random_state(space)
    step = SimpleNamespace(experiment=SimpleNamespace(step=timedelta(hours=6)))
    return one, SimpleNamespace(**{
        "of": "analysis", "moments": False, "members": 2, "space": space, "times": lambda: [builders.TIME],
        "settings": step, "each_member": lambda time: (one.data * number for number in (1, 2)),
        "mean_and_spread": lambda time: (one.data, abs(one.data)), **more})


@pytest.mark.parametrize(("grid", "name"), [
    (Grid.regular(8, 16), "regular_ll"), (Grid.regular(9, 16, poles=True), "regular_ll"),
    (Grid.gaussian(8, 16), "regular_gg"),
])
def test_grib_holds_every_channel_of_every_member_to_its_last_packed_bit(tmp_path, grid, name):
    names = {on_levels: [name for name, variable in VARIABLES.items() if variable.on_levels == on_levels]
             for on_levels in (True, False)}
    space = StateSpace.of(grid, builders.LEVELS, names[True], names[False])
    one, states = states_of(space)
    found = list(messages(grib.write(tmp_path / "x.grib2", states, builders.TIME)))
    assert len(found) == 2 * len(space.channels)
    for i, (keys, values, lat, lon) in enumerate(found):
        number, channel = divmod(i, len(space.channels))
        expected = one.data[channel] * (number + 1)
        assert np.abs(values - expected).max() <= np.ptp(expected) / 2**23
        np.testing.assert_allclose(lat, grid.lat, atol=1e-5)
        np.testing.assert_allclose(lon, grid.lon, atol=1e-5)
        assert keys["shortName"] == grib.SHORT_NAMES[space.channels[channel].variable]
        assert (keys["gridType"], keys["validityDate"], keys["validityTime"]) == (name, 19890101, 600)
        if space.channels[channel].on_levels:
            assert (keys["typeOfLevel"], keys["level"]) == ("isobaricInhPa", space.channels[channel].pressure / 100)


@pytest.mark.parametrize(("of", "moments", "step", "kind"), [
    ("analysis", False, "0", "an"), ("background", False, "6", "pf"), ("analysis", True, "0", "an"),
    ("background", True, "6", "fc"),
])
def test_grib_says_what_a_state_is(tmp_path, of, moments, step, kind):
    _, states = states_of(builders.space(), of=of, moments=moments)
    for keys, *_ in messages(grib.write(tmp_path / "x.grib2", states, builders.TIME)):
        assert (keys["stepRange"], keys["validityTime"], keys["dataType"]) == (step, 600, kind)


def test_a_grid_without_a_name_in_grib_is_refused(tmp_path):
    uneven = Grid(np.array([-60.0, -10, 20, 70]), Grid.regular(4, 8).lon)
    _, states = states_of(StateSpace.of(uneven, builders.LEVELS, builders.ON_LEVELS, ()))
    with pytest.raises(UserError, match="GRIB2 has no name for the 4 x 8 grid.*python -m verify dataset"):
        grib.write(tmp_path / "x.grib2", states, builders.TIME)
    assert not list(tmp_path.iterdir())


def test_grib_of_an_experiment_by_the_command(made, tmp_path):
    path, settings, space = made
    verify.main(["grib", str(path), f"{TIMES[0]:%Y%m%d%H}", str(tmp_path / "x.grib2"), "--moments"])
    assert len(list(messages(tmp_path / "x.grib2"))) == 2 * len(space.channels)
    with pytest.raises(UserError, match="is no time of the experiment"):
        verify.main(["grib", str(path), "1999010100", str(tmp_path / "y.grib2")])


@pytest.mark.parametrize(("command", "more"), [("dataset", []), ("departures", []), ("grib", [f"{TIMES[0]:%Y%m%d%H}"])])
def test_before_there_is_anything_it_is_said(tmp_path, monkeypatch, command, more):
    monkeypatch.setenv("WORK", str(tmp_path))
    path = tmp_path / "e.toml"
    path.write_text(builders.experiment("none", *TIMES))
    with pytest.raises(UserError, match="no time has .* yet; run: run/cycle.sh"):
        verify.main([command, str(path), *more, str(tmp_path / "out.nc")])
