"""Real states of GFS (GRIB) and ERA5 (NetCDF), and stores and files made of them, on a grid that one wants."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import eccodes
import netCDF4
import numpy as np
import pytest

from contracts import humidity, state
from contracts.constants import GRAVITY
from contracts.errors import UserError
from contracts.grid import Grid
from contracts.state import State, StateSpace
from networks.data import grib, states

GFS, ERA5 = "gfs_2011011512_2p5deg.grib2", "era5_1959010200_tl31.nc"
AT_GFS, AT_ERA5 = datetime(2011, 1, 15, 12, tzinfo=UTC), datetime(1959, 1, 2, tzinfo=UTC)
ON_LEVELS = ("geopotential", "u_component_of_wind", "v_component_of_wind", "temperature", "specific_humidity")
AT_SURFACE = ("2m_temperature", "10m_u_component_of_wind", "10m_v_component_of_wind", "surface_pressure")
GRID = Grid.regular(32, 64)


def space(grid: Grid = GRID, levels=(50_000.0, 85_000.0), at_surface=AT_SURFACE) -> StateSpace:
    return StateSpace.of(grid, levels, ON_LEVELS, at_surface)


@pytest.fixture(scope="module")
def folder(samples) -> Path:
    return samples / "states"


def test_gfs_stands_on_our_grid_with_its_means_kept(folder):
    found = states.read([str(folder / GFS)], AT_GFS, space(), "conservative")
    fields = grib.read(folder / GFS)
    for name, level in [("temperature", 5e4), ("u_component_of_wind", 8.5e4), ("geopotential", 5e4)]:
        own, ours = fields.field[name, level], found[space().index(name)[0 if level == 5e4 else 1]]
        assert (ours * GRID.area_weights).mean() == pytest.approx((own * fields.grid.area_weights).mean(), rel=1e-5)
    pressure = found[space().index("surface_pressure")[0]]
    assert 4.5e4 < pressure.min() < 6.5e4 and 1.0e5 < pressure.max() < 1.07e5  # Tibet and the open sea


def test_numbers_of_gfs_are_those_that_eccodes_gives(folder):
    """By its own search for the nearest point, which knows nothing of our order of rows and columns."""
    fields = grib.read(folder / GFS)
    eccodes.codes_grib_multi_support_on()
    with open(folder / GFS, "rb") as file:
        while (message := eccodes.codes_grib_new_from_file(file)) is not None:
            key = [eccodes.codes_get(message, name) for name in ("shortName", "typeOfLevel", "level")]
            if key in (["t", "isobaricInhPa", 500], ["v", "isobaricInhPa", 850], ["gh", "isobaricInhPa", 500]):
                for lat, lon in [(52.5, 15.0), (-40.0, 290.0), (90.0, 0.0)]:
                    value = eccodes.codes_grib_find_nearest(message, lat, lon)[0].value
                    name = {"t": "temperature", "v": "v_component_of_wind", "gh": "geopotential"}[key[0]]
                    row, column = np.argmin(np.abs(fields.grid.lat - lat)), np.argmin(np.abs(fields.grid.lon - lon))
                    factor = GRAVITY if key[0] == "gh" else 1.0
                    assert fields.field[name, key[2] * 100.0][row, column] == pytest.approx(value * factor, rel=1e-12)
            eccodes.codes_release(message)
    eccodes.codes_grib_multi_support_off()


def test_humidity_of_gfs_is_made_of_what_it_has(folder):
    fields = grib.read(folder / GFS)
    q, T = (fields.field[name, 8.5e4] for name in ("specific_humidity", "temperature"))
    assert (q >= 0).all() and (q <= 1.001 * humidity.saturation(T, np.array(8.5e4))).all() and 0.012 < q.max() < 0.022


def test_land_and_mountains_come_from_the_file(folder):
    found = states.static([str(folder / GFS)], AT_GFS, GRID, "conservative")
    assert 4000 < found.orography.max() < 6000 and found.land_sea_mask.min() == 0 and found.land_sea_mask.max() == 1
    assert (found.land_sea_mask * GRID.area_weights).mean() == pytest.approx(0.29, abs=0.03)
    with pytest.raises(UserError, match=r"name a file with orography and land-sea mask in \[initial\] static"):
        states.static([str(folder / ERA5)], AT_ERA5, GRID, "conservative")


def test_era5_on_its_own_grid_and_levels_is_what_the_file_says(folder):
    with netCDF4.Dataset(folder / ERA5) as dataset:
        grid = Grid(dataset["latitude"][:], dataset["longitude"][:])
        level = int(np.flatnonzero(dataset["level"][:] == 850)[0])
        own = np.asarray(dataset["u_component_of_wind"][level]).T
    found = states.read([str(folder / ERA5)], AT_ERA5, space(grid, at_surface=()), "conservative")
    assert np.array_equal(found[space(grid, at_surface=()).index("u_component_of_wind")[1]], own)


def test_a_level_between_two_of_the_file_is_linear_in_ln_p(folder):
    wanted, there = (states.read([str(folder / ERA5)], AT_ERA5, space(levels=levels, at_surface=()), "bilinear")
                     for levels in ((71_000.0,), (70_000.0, 75_000.0)))
    weight = np.log(71 / 70) / np.log(75 / 70)
    upper, lower = there[0::2], there[1::2]
    assert wanted == pytest.approx((1 - weight) * upper + weight * lower, rel=1e-5, abs=1e-6)


def test_what_a_file_does_not_have_is_told(folder, tmp_path):
    with pytest.raises(UserError, match="has no 2m_temperature, which .state. asks for"):
        states.read([str(folder / ERA5)], AT_ERA5, space(), "conservative")
    with pytest.raises(UserError, match="has 1 to 1000 hPa, expected levels around 0.5 hPa"):
        states.read([str(folder / ERA5)], AT_ERA5, space(levels=(50.0,), at_surface=()), "conservative")
    with pytest.raises(UserError, match="is valid at 2011011512, expected 2011011518"):
        states.read([str(folder / GFS)], AT_GFS + timedelta(hours=6), space(), "conservative")
    with pytest.raises(UserError, match="no such file; expected the state of 1959010200"):
        states.read([str(tmp_path / "%Y.nc")], AT_ERA5, space(), "conservative")
    half = tmp_path / "half.grib2"
    half.write_bytes((folder / GFS).read_bytes()[:100_000])
    with pytest.raises(UserError, match="half.grib2: (is no GRIB file|has none of the fields)"):
        grib.read(half)


def test_levels_and_the_surface_may_lie_in_two_files_and_our_own_are_read(folder, tmp_path):
    whole = states.read([str(folder / GFS)], AT_GFS, space(), "conservative")
    surface = StateSpace.of(GRID, (), (), AT_SURFACE)
    own = State(surface, whole[-len(AT_SURFACE):], AT_ERA5)
    state.write(tmp_path / "1959010200.nc", own)
    found = states.read([str(folder / ERA5), str(tmp_path / "%Y%m%d%H.nc")], AT_ERA5, space(), "conservative")
    assert np.array_equal(found[-len(AT_SURFACE):], own.data)


def test_a_store_of_zarr_gives_what_the_file_that_it_was_made_of_gives(folder, tmp_path):
    xarray = pytest.importorskip("xarray")
    with xarray.open_dataset(folder / ERA5) as dataset:
        kept = dataset[list(ON_LEVELS)].expand_dims("time").load()
    kept.to_zarr(tmp_path / "era5.zarr")
    wanted = space(at_surface=())
    found = states.read([str(tmp_path / "era5.zarr")], AT_ERA5, wanted, "conservative")
    assert np.array_equal(found, states.read([str(folder / ERA5)], AT_ERA5, wanted, "conservative"))
