"""Files open in other people's tools as those expect: CF conventions by their checker, and xarray by what it makes of
them."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import xarray

from contracts import field, members, observations, state, static
from contracts.field import Field
from contracts.members import Form
from contracts.observations import Source
from contracts.paths import EnsembleFolder
from contracts.state import State
from contracts.variables import VARIABLES, Flag
from tests import builders
from verify import fit, score_file
from verify.score_file import Scores

CHECKOUT = Path(__file__).resolve().parents[2]
SPACE, TIME = builders.space(), builders.TIME
# WeatherBench's names begin with digits, which CF advises against; and of realization the checker wants a coordinate
# where CF 7.3 is content with a standard name.
KNOWN = ("should begin with a letter", "cell_methods name component realization does not match")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of each kind, by name."""
    folder = tmp_path_factory.mktemp("files")
    one, start = builders.random_state(SPACE), TIME - timedelta(hours=30)
    state.write(folder / "m0003.nc", one, member=3, experiment="twin")
    form = Form(SPACE, TIME, "twin", 2, start)
    members.write(EnsembleFolder(folder), (1, 2), [one.data, one.data], form, course=(np.ones(2), np.ones(3)))
    state.write(folder / "ensspread.nc", one, statistic="spread", experiment="twin", start=start)
    static.write(folder / "static.nc", builders.flat_static(SPACE.grid), "twin")
    levels = SPACE.analysis_levels
    field.write(folder / "inflation.nc", Field("inflation", "1", SPACE.grid, levels,
                                               np.ones((levels.size, *SPACE.grid.shape)), TIME), "twin")
    table = builders.observations(np.arange(3.0), station=[b"A", b"0930\xfc", b"C"])
    more = dict.fromkeys(("background_mean", "background_spread", "analysis_mean", "analysis_spread"), np.ones(3))
    source = Source(TIME, (TIME, TIME))
    observations.write(folder / "observations.nc", table, source, "twin")
    departures = observations.Departures(**vars(table), **more)
    observations.write(folder / "departures.nc", departures, source, "twin")
    scores = Scores(TIME, 20, "truth", ("global",), ("temperature_500",), fit.statistics(departures, (1100, 0)),
                    {Flag.passed: 3}, {"background_rmse": np.ones((1, 1))})
    score_file.write(folder / "scores.nc", scores, "twin")
    return folder


@pytest.fixture(scope="module")
def told(files):
    """What a process of its own says of all of them (`checked`)."""
    units = json.dumps(sorted({variable.units for variable in VARIABLES.values()}))
    done = subprocess.run([sys.executable, "-W", "ignore", "-m", "tests.contracts.checked", units,
                           *map(str, sorted(files.iterdir()))], capture_output=True, text=True, cwd=CHECKOUT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", ["m0003", "members", "ensspread", "static", "inflation", "observations",
                                  "departures", "scores"])
def test_the_checker_of_the_conventions_finds_nothing(told, name):
    assert [fault for fault in told["faults"][name] if not any(known in fault for known in KNOWN)] == []


def test_all_units_are_known_to_udunits(told):
    assert told["unknown"] == []


def test_members_are_what_a_pattern_for_members_finds(tmp_path):
    """Mean and spread are not among them, and each says which it is."""
    folder = EnsembleFolder(tmp_path)
    for number in (1, 2):
        state.write(folder.member(number), builders.random_state(SPACE, number), number)
    state.write(folder.mean, builders.random_state(SPACE), statistic="mean")
    state.write(folder.spread, builders.random_state(SPACE), statistic="spread")
    assert [path.name for path in sorted(tmp_path.glob("m*.nc"))] == ["m0001.nc", "m0002.nc"]
    opened = [xarray.open_dataset(path) for path in sorted(tmp_path.glob("m*.nc"))]
    stacked = xarray.concat(opened, "realization")
    assert stacked["realization"].values.tolist() == [1, 2] and stacked["temperature"].sizes["realization"] == 2
    with xarray.open_dataset(folder.spread) as found:
        assert found["temperature"].attrs["cell_methods"] == "realization: standard_deviation"
        assert found["temperature"].coords["level_hpa"].values.tolist() == [500, 850, 925]
        assert float(found["2m_temperature"].coords["height_2m"]) == 2.0 and found.attrs["title"] == "state"


def test_members_in_one_file_are_what_stacking_their_files_makes(files, tmp_path):
    for number, fields in ((1, builders.random_state(SPACE, 1)), (2, builders.random_state(SPACE, 2))):
        state.write(tmp_path / f"m{number}.nc", fields, number, "twin")
    form = Form(SPACE, TIME, "twin", 2)
    members.write(EnsembleFolder(tmp_path), (1, 2), [builders.random_state(SPACE, seed).data for seed in (1, 2)], form)
    stacked = xarray.concat([xarray.open_dataset(tmp_path / f"m{number}.nc") for number in (1, 2)], "realization")
    with xarray.open_dataset(tmp_path / "members.nc") as found:
        xarray.testing.assert_identical(found.drop_attrs(), stacked.drop_attrs())
        assert found["temperature"].encoding["chunksizes"] == (1, 1, 3, *SPACE.grid.shape)
        assert {name: one.attrs for name, one in found.data_vars.items()} == {
            name: one.attrs for name, one in stacked.data_vars.items()}


def test_names_of_one_version_ago_are_read_and_written_on(tmp_path):
    folder = EnsembleFolder(tmp_path)
    assert (folder.mean.name, folder.spread.name) == ("ensmean.nc", "ensspread.nc")
    old = State(SPACE, np.ones(SPACE.shape), TIME)
    state.write(tmp_path / "mean.nc", old, statistic="mean")
    assert folder.mean == tmp_path / "mean.nc" and folder.spread.name == "ensspread.nc"
    state.write(folder.mean, old, statistic="mean")
    assert [path.name for path in tmp_path.iterdir()] == ["mean.nc"]
    assert not folder.is_complete(0)
    state.write(tmp_path / "spread.nc", old, statistic="spread")
    assert folder.is_complete(0)


def test_text_is_text(files):
    with xarray.open_dataset(files / "observations.nc") as found:
        assert found["station"].values.tolist() == ["A", "0930\xfc", "C"]
        assert found["message_type"].values.tolist() == ["ADPUPA"] * 3
    table, _ = observations.read(files / "observations.nc")
    assert table.station.tolist() == [b"A", b"0930\xfc", b"C"]
