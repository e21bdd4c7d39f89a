"""The program: the files of the LETKF program, the same bits whatever happened in between, and plain refusals."""

import shutil
from datetime import timedelta

import numpy as np
import pytest

from contracts import observations, paths, state
from contracts.errors import ContractError, UserError
from contracts.follow import Stopped
from contracts.variables import Flag
from neural_da import analysis
from tests import builders
from tests.builders import TIME
from tests.letkf_mpi.case import Case, add_inputs, contents, numbers_of
from tests.mpi.launcher import mpirun
from tests.neural_da import case
from tests.neural_da.case import NOW


@pytest.fixture(autouse=True)
def no_work(monkeypatch):
    monkeypatch.delenv("WORK", raising=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """An experiment whose first analysis is made, and its numbers."""
    made = case.make(tmp_path_factory.mktemp("finished"))
    analysis.main([str(made.toml), NOW])
    return made, contents(made.files)


@pytest.fixture
def fresh(tmp_path) -> Case:
    return case.make(tmp_path)


def run(made: Case, *arguments: str) -> None:
    analysis.main([str(made.toml), *arguments])


def members(made: Case, folder) -> np.ndarray:
    return np.stack([state.read(folder.member(number), made.space, TIME).data for number in range(1, 5)])


def test_all_files_of_an_analysis_are_there_with_mean_and_spread_of_its_members(finished):
    made, _ = finished
    files, X = made.files, members(finished[0], finished[0].files.analysis)
    assert files.departures.exists() and files.analysis.is_complete(4)
    for path, data in ((files.analysis.mean, X.mean(axis=0)), (files.analysis.spread, X.std(axis=0, ddof=1))):
        assert np.allclose(state.read(path, made.space, TIME).data, data, rtol=1e-5, atol=1e-6)


def test_departures_have_every_row_with_its_fate_and_the_analysis_fits_better(finished):
    made, _ = finished
    table, _ = observations.read(made.files.observations)
    found, _ = observations.read_departures(made.files.departures)
    used = found.flag == Flag.assimilated
    before, after = ((found.value - mean)[used] / found.error[used]
                     for mean in (found.background_mean, found.analysis_mean))
    assert len(found) == len(table) and used.sum() > 30 and (found.flag != Flag.passed).all()
    assert (after**2).mean() < 0.7 * (before**2).mean()


def test_members_keep_the_course_of_their_minimisation_and_what_is_none_keeps_none(finished):
    files = finished[0].files
    first, second = (state.course(files.analysis.member(number)) for number in (1, 2))
    assert first[-1] < first[0] and first.size > 1 and not np.array_equal(first, second)
    assert state.course(files.background.member(1)) is None and state.course(files.analysis.mean) is None


def test_a_complete_analysis_is_left_alone_and_the_next_is_found(finished, caplog):
    made, numbers = finished
    with caplog.at_level("INFO"):
        run(made, NOW)
    assert "nothing to do" in caplog.text and contents(made.files) == numbers
    with pytest.raises(UserError, match="no time has a complete background"):
        run(made)


@pytest.mark.parametrize("last", ["analysis/m0001.nc", "analysis/m0004.nc", "ensmean.nc", "departures.nc"])
def test_a_kill_before_any_file_changes_no_bit_of_the_next_run(finished, fresh, monkeypatch, last):
    class Killed(BaseException):
        pass

    whole = paths.os.replace

    def replace(partial, path):
        if str(path).endswith(last):
            raise Killed
        whole(partial, path)

    with monkeypatch.context() as patch:
        patch.setattr(paths.os, "replace", replace)
        with pytest.raises(Killed):
            run(fresh, NOW)
    assert not fresh.files.departures.exists()
    run(fresh, NOW)
    assert contents(fresh.files) == finished[1]


def test_members_by_different_processes_and_threads_have_the_same_bits(finished, fresh):
    fresh.toml.write_text(fresh.toml.read_text() + "threads = 3\n")
    run(fresh, NOW, "--members", "3:4")
    assert not fresh.files.departures.exists() and not fresh.files.analysis.member(1).exists()
    run(fresh, NOW, "--members", "1:1")
    run(fresh, NOW, "--rest")
    assert contents(fresh.files) == finished[1]


def test_all_members_in_one_file_have_the_same_bits_however_they_are_shared_out(finished, tmp_path):
    for number, shares in enumerate(([()], [("--members", "1:2"), ("--members", "4:4"), ("--rest",)])):
        folder = tmp_path / str(number)
        folder.mkdir()
        made = case.make(folder, members_in="one_file")
        for share in shares:
            run(made, NOW, *share)
        assert numbers_of(made) == numbers_of(finished[0])
        names = {path.name for path in made.files.analysis.folder.iterdir()}
        assert names == {"ensmean.nc", "ensspread.nc", "members.nc"}


def test_the_rest_takes_the_members_that_are_there(fresh):
    run(fresh, NOW, "--members", "1:4")
    marked = builders.random_state(fresh.space, seed=11)
    state.write(fresh.files.analysis.member(2), marked, 2)
    run(fresh, NOW, "--rest")
    assert np.array_equal(members(fresh, fresh.files.analysis)[1], marked.data)
    mean = state.read(fresh.files.analysis.mean, fresh.space, TIME).data
    assert np.allclose(mean, members(fresh, fresh.files.analysis).mean(axis=0), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("text", ["0:2", "3:2", "1:5", "1", "a:b"])
def test_members_that_are_none_of_the_experiments_are_refused(fresh, text):
    with pytest.raises(UserError, match="expected the first and the last of members 1 to 4"):
        run(fresh, NOW, "--members", text)


def test_two_processes_of_a_launcher_are_refused_in_a_sentence(fresh):
    job = mpirun(2, "-m", "neural_da.analysis", fresh.toml, NOW, timeout=60)
    assert job.returncode != 0 and "start it without mpirun" in job.stderr and "Traceback" not in job.stderr
    assert not fresh.files.log("analysis").exists()


def test_one_process_of_a_launcher_is_as_good_as_none(fresh, monkeypatch):
    monkeypatch.setenv("PMI_SIZE", "1")
    run(fresh, NOW, "--members", "1:1")
    assert fresh.files.analysis.member(1).exists()


def test_without_observations_real_time_goes_on_from_the_background(tmp_path):
    made = case.make(tmp_path, mode="realtime")
    made.files.observations.write_bytes(made.files.observations.read_bytes()[:1000])
    run(made, NOW)
    assert np.array_equal(members(made, made.files.analysis), members(made, made.files.background))
    assert len(observations.read_departures(made.files.departures)[0]) == 0


def test_without_observations_research_stops(fresh):
    fresh.files.observations.unlink()
    with pytest.raises(ContractError, match=r"observations.nc: no such file.*realtime"):
        run(fresh, NOW)


def test_humidity_aloft_is_that_of_the_background_and_none_is_negative(tmp_path):
    made = case.make(tmp_path, case.NEURAL + "humidity_below_hpa = 850\n")
    run(made, NOW)
    q = made.space.index("specific_humidity")
    X, background = members(made, made.files.analysis), members(made, made.files.background)
    assert np.array_equal(X[:, q[:2]], background[:, q[:2]]) and not np.array_equal(X[:, q[2]], background[:, q[2]])
    assert (X[:, q] >= 0).all()


def test_more_memory_than_allowed_is_refused_before_anything_is_read(tmp_path):
    made = case.make(tmp_path, case.NEURAL + "memory_gb = 0.001\n")
    made.files.background.member(1).unlink()
    with pytest.raises(UserError, match=r"memory_gb allows 0.001; take a larger computer"):
        run(made, NOW)


def test_an_analysis_out_of_the_valid_range_is_not_written(fresh):
    hot = builders.random_state(fresh.space, seed=9).data.copy()
    hot[fresh.space.index("temperature")] = 700.0
    state.write(fresh.files.background.member(1), state.State(fresh.space, hot, TIME), 1)
    with pytest.raises(UserError, match="temperature_500 runs from .* expected 120 to 360 K: it has diverged"):
        run(fresh, NOW)
    assert not fresh.files.analysis.folder.exists()


def test_an_ensemble_without_spread_is_refused(fresh):
    for number in range(1, 5):
        state.write(fresh.files.background.member(number), builders.random_state(fresh.space, seed=1), number)
    with pytest.raises(UserError, match="the background ensemble has no spread"):
        run(fresh, NOW)


def test_a_bad_member_file_is_named(fresh):
    fresh.files.background.member(2).write_bytes(b"no NetCDF")
    with pytest.raises(ContractError, match=r"m0002.nc: is no readable NetCDF file"):
        run(fresh, NOW)


def test_a_latent_fitted_from_times_of_the_experiment_is_refused(fresh):
    card = fresh.toml.parent / "latent/small.toml"
    card.write_text(card.read_text().replace("1985-12", "1989-12"))
    with pytest.raises(UserError, match="this experiment runs from 1989010106"):
        run(fresh, NOW)


def test_an_experiment_without_the_section_is_refused(tmp_path):
    made = case.make(tmp_path, "")
    with pytest.raises(UserError, match="neural"):
        run(made, NOW)


def test_as_a_service_it_makes_every_time_whose_inputs_are_there_and_stops_when_asked(finished, fresh):
    later = TIME + timedelta(hours=6)
    add_inputs(fresh, later, seed=20)
    folder = fresh.settings.experiment.folder
    shutil.copy(fresh.toml, folder.settings)
    folder.stop.write_text("")
    with pytest.raises(Stopped):
        run(fresh, "--follow")
    assert not fresh.files.departures.exists()
    folder.stop.unlink()
    with pytest.raises(Stopped):
        _followed_until(fresh, folder.at(later).departures)
    assert contents(fresh.files) == finished[1] and folder.at(later).departures.exists()


def _followed_until(made: Case, path) -> None:
    """Follow, and ask to stop when `path` is there."""
    class Asks(analysis.Follower):
        @property
        def stopping(self) -> bool:
            return path.exists()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analysis, "Follower", Asks)
        run(made, "--follow")


def test_a_service_refuses_other_settings_and_parts_of_its_members(fresh):
    fresh.settings.experiment.folder.settings.write_text(fresh.toml.read_text().replace("members = 4", "members = 5"))
    with pytest.raises(UserError, match="members"):
        run(fresh, "--follow")
    with pytest.raises(UserError, match="--follow analyses all members"):
        run(fresh, "--follow", "--rest")


def test_help_has_an_example(capsys):
    with pytest.raises(SystemExit):
        analysis.main(["--help"])
    assert "example:\n  python -m neural_da.analysis" in capsys.readouterr().out
