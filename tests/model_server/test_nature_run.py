"""Nature run, initial ensemble, forecast and free ensemble of SPEEDY, through files and processes."""

import shutil
import signal
import time
from datetime import timedelta

import numpy as np
import pytest

from contracts import parameters, state, static, times
from contracts.errors import ContractError, UserError
from contracts.nature import FOLDER, NatureFolder, beside
from contracts.paths import atomic
from model_server import config, models, restart
from model_server.forecast import forecast
from model_server.free import free
from model_server.initial import initial
from model_server.nature import main, nature
from model_server.restart import Kept
from tests.model_server.conftest import command

NATURE = """
[nature]
start = 1988-12-30T00:00:00Z
end = {end}
spin_up_days = 2
[initial]
first = 1988-12-30T12:00:00Z
"""


@pytest.fixture
def run(experiment):
    """run(end) is the experiment whose nature run ends at `end`."""
    return lambda end="1988-12-31T12:00:00Z": experiment(NATURE.format(end=end))


@pytest.fixture
def cycle(speedy, run):
    """An experiment with its nature run and initial ensemble."""
    settings = run()
    nature(settings)
    initial(settings)
    return settings


def arrays(settings) -> dict[str, np.ndarray]:
    """All states and restarts of a nature run by file name."""
    folder = NatureFolder(settings.nature_folder)
    found = {path.name: state.read(path, settings.space).data for path in folder.folder.glob("1*.nc")}
    for when in folder.restarts():
        for name, array in restart.read(folder.restart(when), "speedy", when).own.items():
            found[f"{times.name(when)} {name}"] = array
    return found


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]):
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(other[name], array, err_msg=name)


def test_a_killed_nature_run_resumes_with_the_same_bits(speedy, run, tmp_path):
    nature(run("1989-01-03T00:00:00Z"))
    whole = arrays(run("1989-01-03T00:00:00Z"))
    assert sum(name.endswith(".nc") for name in whole) == 17

    file = tmp_path / "experiment.toml"
    again = file.read_text().replace("spin_up_days", 'folder = "again"\nspin_up_days')
    file.write_text(again)
    folder = NatureFolder(tmp_path / "again")
    process = command("nature", str(file), WORK=str(tmp_path))
    third = folder.folder / "1988123012.nc"
    deadline = time.monotonic() + 120
    while not third.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert third.exists() and not (folder.folder / "1989010300.nc").exists(), "killed too late to show anything"

    resumed = command("nature", str(file), WORK=str(tmp_path))
    output, _ = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, output
    assert_same(whole, arrays(config.load(file)))


def test_a_later_end_goes_on_with_the_same_bits(speedy, run):
    nature(run("1988-12-30T06:00:00Z"))
    nature(run())
    grown = arrays(run())
    folder = NatureFolder(run().nature_folder)
    for path in (*folder.folder.glob("1*.nc"), *(folder.folder / FOLDER).glob("*.npz")):
        path.unlink()
    nature(run())
    # The restart from the shorter run's spin-up is that of the longer one.
    assert_same(arrays(run()), grown)


def test_a_damaged_restart_is_stepped_over(speedy, run, caplog):
    nature(run())
    whole = arrays(run())
    folder = NatureFolder(run().nature_folder)
    last = folder.restarts()[-1]
    folder.restart(last).write_bytes(folder.restart(last).read_bytes()[:1000])
    (folder.state(last)).unlink()
    nature(run())
    assert "going back to the restart before it" in caplog.text
    assert_same(whole, arrays(run()))


def test_another_run_is_not_mixed_in(speedy, run, experiment):
    nature(run("1988-12-30T00:00:00Z"))
    other = experiment(NATURE.format(end="1988-12-30T00:00:00Z").replace("spin_up_days = 2", "spin_up_days = 3"))
    with pytest.raises(UserError, match="holds a nature run with spin_up_days = 2, asked for 3"):
        nature(other)


def test_a_run_with_other_parameters_is_another_world_and_goes_on_with_them(speedy, run, experiment):
    def with_drag(end: str):
        return experiment(NATURE.format(end=end).replace("spin_up", "parameters = { surface_drag = 1.5 }\nspin_up"))

    nature(with_drag("1988-12-30T06:00:00Z"))
    nature(with_drag("1988-12-30T12:00:00Z"))  # goes on
    folder = NatureFolder(run().nature_folder)
    found, of = arrays(run()), models.parameters("speedy")
    own = parameters.read(folder.parameters, folder.restarts()[-3], 1, of).values[0]
    np.testing.assert_array_equal(own, [1.5, *parameters.usual(of)[1:]])
    with pytest.raises(UserError, match="holds a nature run with parameters = {'surface_drag': 1.5}, asked for {}"):
        nature(run("1988-12-30T12:00:00Z"))
    shutil.rmtree(folder.folder)
    nature(with_drag("1988-12-30T12:00:00Z"))
    assert_same(arrays(run()), found)
    shutil.rmtree(folder.folder)
    nature(run("1988-12-30T12:00:00Z"))
    assert not np.array_equal(arrays(run())["1988123012.nc"], found["1988123012.nc"])


def test_a_run_seen_again_has_its_bits_and_on_another_grid_those_of_a_run_there(speedy, run, experiment):
    first = run("1988-12-30T12:00:00Z")
    nature(first)
    asked = NATURE.format(end="1988-12-30T12:00:00Z")
    again = asked.replace("spin_up", 'folder = "again"\nof = "nature"\nspin_up')
    nature(experiment(again))
    states = sorted(path.name for path in first.nature_folder.glob("1*.nc"))
    assert len(states) == 3
    for name in states:
        one, other = (state.read(first.nature_folder.parent / folder / name, first.space)
                      for folder in ("nature", "again"))
        np.testing.assert_array_equal(one.data, other.data)
    finer = "[grid]\nnlat = 40\nnlon = 80\ngaussian = true\n"
    seen, there = (experiment(finer + text.replace('"again"', '"seen"'))
                   for text in (again, asked.replace("spin_up", 'folder = "there"\nspin_up')))
    for settings in (there, seen, seen):  # the second time there is nothing left to do
        nature(settings)
    folders = [NatureFolder(settings.nature_folder) for settings in (seen, there)]
    for name in states:
        one, other = (state.read(folder.folder / name, seen.space) for folder in folders)
        np.testing.assert_array_equal(one.data, other.data)
    grounds = [static.read(folder.static, seen.grid.grid()) for folder in folders]
    np.testing.assert_array_equal(grounds[0].orography, grounds[1].orography)
    with pytest.raises(UserError, match="lacks 2 of 5 restarts, such as .*1988123018.npz; name times that the run has"):
        nature(experiment(again.replace("1988-12-30T12", "1988-12-31T00").replace('"again"', '"more"')))
    with pytest.raises(UserError, match=r"holds a nature run with of = 'nature', asked for ''"):
        nature(experiment(again.replace('of = "nature"\n', "")))


def test_no_run_is_made_where_none_is_asked_for_and_members_begin_as_states_of_another(experiment):
    settings = experiment('[initial]\nfolder = "elsewhere"\n')
    main([str(settings.experiment.folder.folder.parent / "experiment.toml")])
    assert not settings.nature_folder.exists()


@pytest.mark.parametrize(("more", "asked"), [
    ("", False),
    ('[verify]\ntruth = "other/%Y%m%d%H.nc"', False),
    ('[synthetic]\ntruth = "run/%Y%m%d%H.nc"', False),  # and real observations
    ('[verify]\ntruth = "run/%Y%m%d%H.nc"', True),
    ('[observations]\nsource = "synthetic"\n[synthetic]\ntruth = "run/%Y%m%d%H.nc"', True),
])
@pytest.mark.parametrize("packed", ["", 'packed = "no_such_file.h5"'])
def test_where_members_begin_as_real_states_the_run_of_a_base_is_made_for_a_truth_alone(experiment, tmp_path, packed,
                                                                                         more, asked):
    experiment(f'[nature]\nfolder = "run"\nmodel = "none_of_that_name"\n{packed}\n')
    own = tmp_path / "own.toml"
    own.write_text('base = "experiment.toml"\n[initial]\nsource = "states"\nstates = ["x"]\nyears = [1980, 1985]\n'
                   + more)
    if asked:
        with pytest.raises(UserError, match=r"no_such_file.h5|none_of_that_name"):
            main([str(own)])
    else:
        main([str(own)])
        assert not (tmp_path / "run").exists()


def test_initial_members_are_states_of_the_nature_run_at_the_start_of_the_experiment(cycle):
    start = cycle.experiment.times()[0]
    background, run = cycle.experiment.folder.at(start).background, NatureFolder(cycle.initial_folder)
    assert background.is_complete(3)
    for number in (1, 2, 3):
        source = run.folder / f"{times.name(cycle.initial.first + timedelta(hours=12 * (number - 1)))}.nc"
        found, expected = state.read(background.member(number), cycle.space, start), state.read(source, cycle.space)
        # Same model, same state; only what the date brings (sea surface, sun) may touch the 2 m temperature.
        aloft = [i for i, channel in enumerate(cycle.space.channels) if channel.on_levels]
        np.testing.assert_array_equal(found.data[aloft], expected.data[aloft])
    grid = cycle.space.grid
    made, own = (static.read(path, grid) for path in (cycle.experiment.folder.static, run.static))
    np.testing.assert_array_equal(made.orography, own.orography)


def test_initial_asks_for_the_states_it_misses(speedy, run, experiment):
    nature(run("1988-12-30T12:00:00Z"))
    with pytest.raises(UserError, match=r"1988123100\.nc: no such file.*2 of 3 are missing"):
        initial(run("1988-12-30T12:00:00Z"))


def test_forecasts_without_analysis_are_the_free_ensemble(cycle):
    """Two cycles whose analysis is the background, file by file, against one uninterrupted process: same bits."""
    folder = cycle.experiment.folder
    for when in cycle.experiment.times()[:2]:
        for number in (1, 2, 3):
            with atomic(folder.at(when).analysis.member(number)) as partial:
                partial.write_bytes(folder.at(when).background.member(number).read_bytes())
        forecast(cycle, when)
    free(cycle)
    last = cycle.experiment.times()[-1]
    for cycled, freed in zip(*((of.mean, of.spread) for of in (folder.at(last).background, folder.free(last))),
                             strict=True):
        np.testing.assert_array_equal(state.read(cycled, cycle.space).data, state.read(freed, cycle.space).data)


def test_an_analysis_without_the_models_own_state_is_refused(cycle):
    folder, start = cycle.experiment.folder, cycle.experiment.times()[0]
    for number in (1, 2, 3):
        with atomic(folder.at(start).analysis.member(number)) as partial:
            partial.write_bytes(folder.at(start).background.member(number).read_bytes())
    kept = beside(folder.at(start).background.member(2))
    whole = kept.read_bytes()

    kept.unlink()
    with pytest.raises(ContractError, match=r"m0002\.npz: no such file; the model speedy-t21 needs its own state"):
        forecast(cycle, start)
    kept.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ContractError, match=r"m0002\.npz: is damaged"):
        forecast(cycle, start)
    arrays_of = Kept({"vorticity": np.zeros(3, np.float32)})
    restart.write(kept, arrays_of, "speedy-t31", start)
    with pytest.raises(ContractError, match="expected a restart of speedy-t21, got one of speedy-t31"):
        forecast(cycle, start)
    restart.write(kept, arrays_of, "speedy-t21", start + timedelta(hours=6))
    with pytest.raises(ContractError, match="expected the restart of 1989010106, got 1989010112"):
        forecast(cycle, start)


def test_a_full_disk_is_said_and_leaves_nothing_behind(tmp_path):
    """/dev/full refuses every write, as a full disk does."""
    target = tmp_path / "m0001.npz"
    (tmp_path / ".m0001.npz.part").symlink_to("/dev/full")
    with pytest.raises(UserError, match="could not be written .*No space left.*; check the space left on the disk"):
        restart.write(target, Kept({"vorticity": np.zeros(100_000)}), "speedy-t21", times.parse("1989010106"))
    assert list(tmp_path.iterdir()) == []
