"""4D-Var as a program: a window of observations, slots that nobody wrote, and the same bits after a kill."""

from datetime import timedelta

import numpy as np
import pytest

from contracts import observations, paths, state
from contracts.errors import UserError
from contracts.observations import Source
from contracts.variables import Flag
from networks import checkpoint
from neural_da import analysis
from tests.builders import TIME
from tests.letkf_mpi import case as files
from tests.letkf_mpi.case import Case, contents
from tests.networks import climax_builders
from tests.neural_da import case, made
from tests.neural_da.case import NOW

NEURAL = """
[slots]
every_hours = 6
window_hours = [0, {last}]
[neural]
method = "latent_4d_var"
latent = "latent/small.safetensors"
checkpoint = "{folder}/small.safetensors"
ensemble = "{ensemble}"
factor = 5.0
tolerance = 0.2
"""
HOURS = (0, 6, 12)


@pytest.fixture(autouse=True)
def no_work(monkeypatch):
    monkeypatch.delenv("WORK", raising=False)


def make(folder, last: int = 12, ensemble: str = "perturbed") -> Case:
    """Observations at three times of a window, in an experiment whose step is longer than that."""
    experiment = case.make(folder, NEURAL.format(last=last, folder=folder, ensemble=ensemble))
    experiment.toml.write_text(experiment.toml.read_text().replace("[experiment]", "[experiment]\nstep_hours = 12"))
    checkpoint.write(folder / "small.safetensors", climax_builders.checkpoint(climax_builders.card(made.SPACE)))
    tables = [files.table(40, seed=5 + hours) for hours in HOURS]
    later = [table.with_columns(time=table.time + 3600 * hours) for table, hours in zip(tables, HOURS, strict=True)]
    observations.write(experiment.files.observations, observations.concatenate(later),
                       Source(TIME, (TIME, TIME + timedelta(hours=12))))
    return experiment


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("WORK", raising=False)
        made = make(tmp_path_factory.mktemp("finished"))
        analysis.main([str(made.toml), NOW])
    return made, contents(made.files)


def test_observations_of_the_whole_window_are_assimilated_and_fitted_at_their_own_times(finished):
    """At the first time, whose background has no slots on the disk."""
    found, _ = observations.read_departures(finished[0].files.departures)
    used = found.flag == Flag.assimilated
    for hours in HOURS:
        rows = used & (found.time == TIME.timestamp() + 3600 * hours)
        before, after = (((found.value - mean)[rows] / found.error[rows]) ** 2
                         for mean in (found.background_mean, found.analysis_mean))
        assert rows.sum() > 15 and after.mean() < 0.9 * before.mean()


def test_the_analysis_stands_at_the_beginning_of_the_window(finished):
    made, _ = finished
    assert state.read(made.files.analysis.member(1), made.space, TIME).time == TIME


@pytest.mark.parametrize("last", ["analysis/m0003.nc", "departures.nc"])
def test_a_kill_before_any_file_changes_no_bit_of_the_next_run(finished, tmp_path, monkeypatch, last):
    class Killed(BaseException):
        pass

    whole, fresh = paths.os.replace, make(tmp_path)

    def replace(partial, path):
        if str(path).endswith(last):
            raise Killed
        whole(partial, path)

    with monkeypatch.context() as patch:
        patch.setattr(paths.os, "replace", replace)
        with pytest.raises(Killed):
            analysis.main([str(fresh.toml), NOW])
    assert not fresh.files.departures.exists()
    analysis.main([str(fresh.toml), NOW])
    assert contents(fresh.files) == finished[1]


def test_members_by_different_processes_and_threads_have_the_same_bits(finished, tmp_path):
    fresh = make(tmp_path)
    fresh.toml.write_text(fresh.toml.read_text() + "threads = 2\n")
    analysis.main([str(fresh.toml), NOW, "--members", "3:4"])
    analysis.main([str(fresh.toml), NOW, "--rest"])
    assert contents(fresh.files) == finished[1]


def test_slots_that_the_model_server_wrote_are_what_observations_are_compared_with(tmp_path):
    """They are not those that the method would make."""
    fresh = make(tmp_path)
    for hours in (6, 12):
        for number, path in enumerate(fresh.files.background.slot(timedelta(hours=hours)).members(4), start=1):
            there = state.read(fresh.files.background.member(number), fresh.space, TIME)
            state.write(path, state.State(fresh.space, there.data, TIME + timedelta(hours=hours)), number)
    analysis.main([str(fresh.toml), NOW])
    found, _ = observations.read_departures(fresh.files.departures)
    H = [found.background_mean[found.time == TIME.timestamp() + 3600 * hours] for hours in HOURS]
    assert all(np.isfinite(h).any() for h in H)
    table, _ = observations.read(fresh.files.observations)
    now = table.with_columns(time=np.full(len(table), TIME.timestamp()))
    observations.write(fresh.files.observations, now, Source(TIME, (TIME, TIME)))
    fresh.files.departures.unlink()
    analysis.main([str(fresh.toml), NOW])
    again, _ = observations.read_departures(fresh.files.departures)
    np.testing.assert_array_equal(again.background_mean, found.background_mean)


@pytest.mark.parametrize("window", ["[0, 18]", "[-6, 6]"])
def test_a_window_that_begins_earlier_or_ends_after_the_next_analysis_time_is_refused(tmp_path, window):
    fresh = make(tmp_path)
    fresh.toml.write_text(fresh.toml.read_text().replace("[0, 12]", window))
    with pytest.raises(UserError, match=r"expected \[slots\] window_hours from 0 to at most .* step_hours = 12, got"):
        analysis.main([str(fresh.toml), NOW])


def test_weights_that_have_seen_times_of_the_experiment_are_refused(tmp_path):
    fresh = make(tmp_path)
    seen = climax_builders.card(made.SPACE, seen=((TIME - timedelta(days=9), TIME),))
    checkpoint.write(tmp_path / "small.safetensors", climax_builders.checkpoint(seen))
    with pytest.raises(UserError, match=r"small.safetensors: was made .*\[neural\] seen = 'another_world'"):
        analysis.main([str(fresh.toml), NOW])
    fresh.toml.write_text(fresh.toml.read_text().replace("[neural]\n", '[neural]\nseen = "another_world"\n'))
    analysis.main([str(fresh.toml), NOW])
