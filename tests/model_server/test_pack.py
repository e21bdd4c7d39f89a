"""A nature run packed into one file and back: the same states to within what float16 anomalies keep."""

from datetime import timedelta

import h5py
import msgspec
import numpy as np
import pytest

from contracts import config as files
from contracts import state, static
from contracts.errors import UserError
from contracts.nature import NatureFolder
from model_server import config, initial, nature, pack
from networks import starter
from tests import builders
from tests.networks import climax_builders
from tests.networks.climax_builders import START, STEP

TEXT = """
[experiment]
name = "packing"
start = 1990-01-02T00:00:00Z
end = 1990-01-02T12:00:00Z
members = 2
[grid]
nlat = {nlat}
nlon = {nlon}
[state]
levels_hpa = [500, 850]
on_levels = ["geopotential", "temperature"]
at_surface = ["2m_temperature"]
[nature]
folder = "{folder}"
start = 1990-01-01T00:00:00Z
packed = "{packed}"
[initial]
every_hours = 12
"""


def settings(folder: str, packed: str = "") -> config.Settings:
    nlat, nlon = builders.space().grid.shape
    return files.decode(TEXT.format(nlat=nlat, nlon=nlon, folder=folder, packed=packed), config.Settings, "test")


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """Four members and two times of the truth, packed from a made nature run of nine states."""
    monkeypatch.setenv("WORK", str(tmp_path))
    climax_builders.nature_run(tmp_path / "whole", climax_builders.small_space(), 9)
    path = tmp_path / "packed.h5"
    pack.pack(settings("whole"), path, 4, 2, "made by a test")
    return path


def test_unpacked_states_are_those_packed_and_no_others(packed, tmp_path):
    nature.nature(settings("back", str(packed)))
    whole, back = NatureFolder(tmp_path / "whole"), NatureFolder(tmp_path / "back")
    space = climax_builders.small_space()
    members = [START + i * timedelta(hours=12) for i in range(4)]
    truth = [START + timedelta(hours=24) + i * STEP for i in range(2)]
    kept = sorted({*members, *truth})
    assert sorted(path.name for path in back.folder.glob("[0-9]*.nc")) == [back.state(time).name for time in kept]
    before = np.stack([state.read(whole.state(time), space, time).data for time in kept])
    after = np.stack([state.read(back.state(time), space, time).data for time in kept])
    largest = np.abs(before - before.mean(axis=0)).max(axis=(0, 2, 3), keepdims=True)
    # Half a unit in the last place of float16, and of the float32 that the sum is rounded to.
    assert (np.abs(after - before) <= largest * 2.0**-11 + np.abs(before) * 2.0**-23).all()
    assert (np.abs(after - before) > 0).any()
    one, other = (static.read(run.static, space.grid) for run in (whole, back))
    np.testing.assert_array_equal(one.orography, other.orography)
    np.testing.assert_array_equal(one.land_sea_mask, other.land_sea_mask)


def test_unpacking_again_leaves_what_is_there_and_fills_what_is_missing(packed, tmp_path):
    chosen = settings("back", str(packed))
    nature.nature(chosen)
    lost, kept = sorted((tmp_path / "back").glob("[0-9]*.nc"))[:2]
    fields, before = state.read(lost, chosen.space).data, kept.stat().st_mtime_ns
    lost.unlink()
    nature.nature(chosen)
    np.testing.assert_array_equal(state.read(lost, chosen.space).data, fields)
    assert kept.stat().st_mtime_ns == before


def test_a_packed_file_says_where_it_came_from(packed):
    with h5py.File(packed) as file:
        told = dict(file.attrs)
    assert (told["command"], told["seed"], told["members"], told["times"]) == ("made by a test", 1, 4, 2)
    assert told["code"].startswith("letkf-mpi")


def test_another_run_in_the_folder_is_refused(packed):
    (packed.parent / "whole" / "settings.json").write_text("{}")
    with pytest.raises(UserError, match="holds another nature run"):
        nature.nature(settings("whole", str(packed)))


def test_states_that_are_not_there_are_named(packed):
    later = files.Experiment(name="late", start=START, end=START + 9 * STEP, members=2)
    asked = msgspec.structs.replace(settings("whole"), experiment=later)
    with pytest.raises(UserError, match="no such file; 1 of 10 times of the truth"):
        pack.pack(asked, packed.parent / "no.h5", 2, None, "")


def test_a_damaged_file_is_named(packed):
    packed.write_bytes(packed.read_bytes()[:1000])
    with pytest.raises(UserError, match="is no readable HDF5 file"):
        nature.nature(settings("back", str(packed)))


def test_a_bare_name_is_what_comes_with_the_code_and_anything_else_a_path(monkeypatch, tmp_path):
    assert starter.find("nature_t31", ".h5") == starter.FOLDER / "nature_t31.h5"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HERE", str(tmp_path))
    assert starter.find("$HERE/own.h5", ".h5") == tmp_path / "own.h5"
    assert str(starter.find("own.h5", ".h5")) == "own.h5"
    with pytest.raises(UserError, match="nature_t99: no such file comes with this code; known: nature_t31"):
        starter.find("nature_t99", ".h5")


def test_the_starter_set_holds_what_the_demo_begins_with(monkeypatch, tmp_path):
    monkeypatch.setenv("WORK", str(tmp_path))
    chosen = config.load(starter.FOLDER.parent.parent / "run" / "experiments" / "twin_climax.toml")
    path = starter.find(chosen.nature.packed, ".h5")
    assert path.stat().st_size <= 12e6
    nature.nature(chosen)
    folder = NatureFolder(chosen.nature_folder)
    first = chosen.initial.first
    wanted = [first + i * timedelta(hours=chosen.initial.every_hours) for i in range(chosen.experiment.members)]
    assert len(chosen.experiment.times()) >= 20
    assert all(folder.state(time).exists() for time in [*wanted, *chosen.experiment.times()])
    assert len(list(folder.folder.glob("1991*.nc"))) == 40


def test_more_members_than_a_packed_run_holds_are_told_with_how_many_it_does(packed):
    asked = settings("back", str(packed))
    nature.nature(asked)
    more = msgspec.structs.replace(asked, experiment=msgspec.structs.replace(asked.experiment, members=40))
    with pytest.raises(UserError, match=r"gives at most 4 members with \[initial\] every_hours = 12: set .* = 4$"):
        initial.sources_of(more, NatureFolder(more.nature_folder), 40)


def test_a_packed_run_with_a_state_that_is_none_is_one_sentence(packed):
    with h5py.File(packed, "a") as file:
        file["offset"][0, 0, 0] = np.inf
    with pytest.raises(UserError, match="packed.h5: has times, offsets or scales that are no numbers of weather"):
        nature.nature(settings("back", str(packed)))
    with h5py.File(packed, "a") as file:
        file["offset"][0, 0, 0] = 0.0
        del file["orography"]
    with pytest.raises(UserError, match="packed.h5: has no orography and mask as it should"):
        nature.nature(settings("again", str(packed)))
