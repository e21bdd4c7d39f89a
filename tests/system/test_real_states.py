"""A cycle whose first ensemble are states of the real atmosphere, in the files that people have them in: GFS as GRIB,
ERA5 as the Climate Data Store and as WeatherBench 2 give it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import xarray

from contracts import state, static
from contracts.grid import Grid
from contracts.state import State, StateSpace
from networks.data import states
from networks.data.weatherbench import SHORT_NAMES
from tests.builders import CLIMATE
from tests.system.experiment import Experiment, smooth_state
from verify import score_file

START, YEARS = datetime(2011, 1, 15, 12, tzinfo=UTC), [*range(2004, 2011), 2012]
GFS = "$LETKF_SAMPLES/states/gfs_%Y%m%d%H_2p5deg.grib2"
AROUND = f'centre = ["{GFS}"]\nfactor = 1.0'  # one state and the deviations of other years
TEXT = """
[experiment]
name = "tiny"
start = 2011-01-15T12:00:00Z
end = 2011-01-16T00:00:00Z
members = 8
[grid]
nlat = 8
nlon = 16
[state]
levels_hpa = [500, 850]
on_levels = ["geopotential", "u_component_of_wind", "v_component_of_wind", "temperature"]
at_surface = ["2m_temperature", "surface_pressure"]
[model]
name = "persistence"
[initial]
source = "states"
states = {states}
years = [2004, 2012]
every_hours = 24
{more}
[observations]
source = "synthetic"
[synthetic]
truth = "truth/%Y%m%d%H.nc"
stations = [4, 8, 16, 8, 4]
quantities = ["u_component_of_wind", "v_component_of_wind", "temperature", "surface_pressure"]
[localization]
horizontal_km = 3000.0
[relaxation]
method = "rtpp"
alpha = 0.1
[verify]
truth = "truth/%Y%m%d%H.nc"
[run]
status = false
figures = false
"""


def store(states_of: dict[datetime, State], land: static.Static) -> xarray.Dataset:
    """States under the names of WeatherBench 2, from north to south."""
    space = next(iter(states_of.values())).space
    fields = np.stack([each.data for each in states_of.values()])[:, :, ::-1]
    at = {"time": [time.replace(tzinfo=None) for time in states_of], "latitude": space.grid.lat[::-1],
          "longitude": space.grid.lon}
    found = xarray.Dataset(coords=at | {"level": space.levels("temperature") / 100})
    for name in space.variables:
        own = fields[:, space.index(name)]
        surface = name.startswith("2m") or name == "surface_pressure"
        axes = ("time", "latitude", "longitude") if surface else ("time", "level", "latitude", "longitude")
        found[name] = axes, own[:, 0] if surface else own
    for name, field in (("geopotential_at_surface", land.orography * 9.80665), ("land_sea_mask", land.land_sea_mask)):
        found[name] = ("latitude", "longitude"), field[::-1]
    return found


def as_weatherbench(dataset: xarray.Dataset, folder: Path) -> list[str]:
    dataset.to_zarr(folder / "years.zarr")
    return ["$WORK/years.zarr"]


def as_climate_data_store(dataset: xarray.Dataset, folder: Path) -> list[str]:
    """A file of levels and one of the surface for each year, whose z is the orography at every time."""
    named = dataset.rename({name: short for name, short in SHORT_NAMES.items() if name in dataset})
    named = named.rename(time="valid_time", level="pressure_level").assign_coords(number=0)
    named["valid_time"].encoding["units"] = "seconds since 1970-01-01"
    on_levels = [name for name in named if "pressure_level" in named[name].dims]
    surface = named.drop_vars([*on_levels, "pressure_level"]).rename(geopotential_at_surface="z", land_sea_mask="lsm")
    for name in ("z", "lsm"):
        surface[name] = surface[name].expand_dims(valid_time=named["valid_time"])
    for year, rows in named.groupby("valid_time.year"):
        rows[on_levels].to_netcdf(folder / f"levels_{year}.nc")
        surface.sel(valid_time=rows["valid_time"]).to_netcdf(folder / f"surface_{year}.nc")
    return ["$WORK/surface_%Y.nc", "$WORK/levels_%Y.nc"]


@pytest.fixture(scope="module")
def gfs(samples, tmp_path_factory):
    """Around GFS, with half of the climate's variance, the states of eight years, and the truth: the files' parts."""
    fine = Grid.regular(12, 24)
    space = StateSpace.of(fine, (50_000.0, 85_000.0), ("geopotential", "u_component_of_wind", "v_component_of_wind",
                                                       "temperature"), ("2m_temperature", "surface_pressure"))
    pattern = [str(samples / "states" / "gfs_%Y%m%d%H_2p5deg.grib2")]
    base = states.read(pattern, START, space, "conservative")
    mean = np.array([CLIMATE[channel.variable][0] for channel in space.channels])[:, None, None]
    years = {START.replace(year=year): State(space, (base + smooth_state(space, year, START).data - mean).astype("f4"),
                                             START.replace(year=year)) for year in YEARS}
    return years, static.Static(fine, *(getattr(states.static(pattern, START, fine, "conservative"), name)
                                        for name in ("orography", "land_sea_mask")))


@pytest.mark.parametrize(("written", "more"), [(as_weatherbench, ""), (as_climate_data_store, AROUND)],
                         ids=["members are other years", "around one state"])
def test_three_cycles_find_the_truth(gfs, written, more, samples, tmp_path, monkeypatch):
    """What persists is the weather of one more year: eight members of five waves can span it."""
    monkeypatch.setenv("LETKF_SAMPLES", str(samples))
    work = tmp_path / "work"
    work.mkdir()
    made = Experiment(work / "tiny.toml", work)
    made.path.write_text(TEXT.format(states=written(store(*gfs), work), more=more))
    monkeypatch.setenv("WORK", str(work))
    chosen = made.settings
    space = chosen.state.space(chosen.grid.grid())
    truth = states.read([str(samples / "states" / "gfs_%Y%m%d%H_2p5deg.grib2")], START, space, "conservative")
    truth += (smooth_state(space, 7, START).data - smooth_state(space, 0, START).data)
    for when in chosen.experiment.times():
        state.write(work / "truth" / f"{when:%Y%m%d%H}.nc", State(space, truth, when))

    for script in ("prepare.sh", "cycle.sh"):
        done = made.run(script)
        assert done.returncode == 0, done.stdout + done.stderr
    first, *_, last = (score_file.read(chosen.experiment.folder.at(when).scores) for when in chosen.experiment.times())
    for channel in ("temperature_500", "u_component_of_wind_850", "geopotential_500"):
        assert last.score("analysis_rmse", channel) < first.score("background_rmse", channel) / 2
    assert static.read(chosen.experiment.folder.static, space.grid).orography.max() > 2000
    assert last.score("analysis_spread", "temperature_500") > 0
    assert chosen.experiment.times()[-1] - START == timedelta(hours=12)
