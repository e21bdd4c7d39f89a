"""The analysis program as a whole, on real MPI processes and real files."""

import shutil

import netCDF4
import numpy as np
import pytest

from contracts import config, field, observations, state
from contracts.grid import Grid
from contracts.variables import Flag, Quantity
from letkf_mpi.config import Settings
from tests import builders
from tests.builders import TIME
from tests.letkf_mpi import case
from tests.letkf_mpi.case import NOW
from tests.mpi.launcher import alone, analyse, mpirun

ADAPTIVE = '[inflation]\nmethod = "adaptive"\n[relaxation]\nmethod = "rtps"\nalpha = 0.8\n'


@pytest.fixture(scope="module")
def twenty(tmp_path_factory):
    """20 members on 240 columns, analysed without a launcher: the case and the numbers in its files."""
    made = case.make(tmp_path_factory.mktemp("twenty"), members=20, nlat=12, nlon=20, nobs=400, more=ADAPTIVE)
    job = analyse(made)
    return made, case.contents(made.files), job.stderr


@pytest.mark.parametrize("ranks", [2, 7, 32])
def test_any_number_of_ranks_gives_the_same_bits(twenty, ranks):
    made, expected, _ = twenty
    shutil.rmtree(made.files.analysis.folder)
    made.files.departures.unlink()
    analyse(made, ranks)
    found = case.contents(made.files)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []


def test_teams_that_write_a_file_together_write_the_same_bits(tmp_path):
    """In chunks of a level, which are no part of what a file says; the logs tell the same of every level."""
    made = case.make(tmp_path, members=4, more=ADAPTIVE)
    logs = [analyse(made).stderr]
    expected = case.contents(made.files)
    for ranks in (14, 32):  # some teams of two, all of two or three
        shutil.rmtree(made.files.analysis.folder)
        made.files.departures.unlink()
        job = mpirun(ranks, "-m", "tests.mpi.by_teams", made.toml, NOW)
        assert job.returncode == 0, job.stderr
        logs.append(job.stderr)
        assert case.contents(made.files) == expected
        assert not list(made.files.folder.rglob(".*.part"))
    of_levels = [[line.split(" INFO ")[1] for line in log.splitlines() if " hPa: " in line] for log in logs]
    assert of_levels[0] == of_levels[1] == of_levels[2] and of_levels[0]
    with netCDF4.Dataset(made.files.analysis.member(1)) as dataset:
        assert dataset["temperature"].chunking() == [1, 1, 6, 12]


def test_all_members_in_one_file_have_the_same_bits_for_any_number_of_ranks(tmp_path):
    """Rank 0 puts together what each wrote; what a killed analysis left of another number of ranks is no part of it."""
    expected = None
    for where, ranks in (("files", 1), ("one_file", 1), ("one_file", 2), ("one_file", 7)):
        folder = tmp_path / f"{where}_{ranks}"
        folder.mkdir()
        made = case.make(folder, members=5, members_in=where)
        if ranks > 1:
            shutil.copy(made.files.background.together, folder / "stale.nc")
            stale = made.files.analysis.part((1, 2, 3, 4, 5))
            stale.parent.mkdir()
            shutil.move(folder / "stale.nc", stale)
        analyse(made, ranks)
        found = case.numbers_of(made)
        expected = expected or found
        assert found == expected
        names = {path.name for path in made.files.analysis.folder.iterdir()}
        members = {"members.nc"} if where == "one_file" else {f"m000{number}.nc" for number in range(1, 6)}
        assert names == {"ensmean.nc", "ensspread.nc", *members}


def test_more_ranks_than_columns(tmp_path):
    made = case.make(tmp_path, members=3, nlat=2, nlon=4, nobs=20, more="[analysis]\ntile = 2")
    analyse(made)
    expected = case.contents(made.files)
    shutil.rmtree(made.files.analysis.folder)
    made.files.departures.unlink()
    analyse(made, ranks=9)
    assert case.contents(made.files) == expected


def test_rows_may_stand_at_gaussian_latitudes_or_where_they_are_named(tmp_path):
    """Through every door of an analysis: background, H(x), local analyses, what is written."""
    lat = Grid.gaussian(6, 12).lat.tolist()
    found = []
    for rows in ("gaussian = true", f"lat = {lat}", ""):
        folder = tmp_path / str(len(found))
        folder.mkdir()
        made = case.make(folder, rows=rows)
        analyse(made)
        found.append(case.contents(made.files))
    assert found[0] == found[1]
    assert found[0]["analysis/m0001.nc:temperature"] != found[2]["analysis/m0001.nc:temperature"]


def test_errors_that_no_observation_has_are_flagged_named_and_change_nothing(tmp_path):
    """As if those rows had been refused before."""
    made = case.make(tmp_path, nobs=60)
    table, source = observations.read(made.files.observations)
    rows, flag, error = [3, 20, 41], table.flag.copy(), table.error.copy()
    flag[rows], error[rows] = Flag.bad_mark, (1e-12, np.inf, np.nan)
    found = []
    for changed in ({"flag": flag}, {"error": error}):
        observations.write(made.files.observations, table.with_columns(**changed), source)
        job = analyse(made)
        departures, _ = observations.read_departures(made.files.departures)
        found.append({name: data for name, data in case.contents(made.files).items() if "analysis/" in name})
        shutil.rmtree(made.files.analysis.folder)
        made.files.departures.unlink()
    assert found[0] == found[1]
    assert departures.flag[rows].tolist() == [Flag.error_out_of_bounds, Flag.error_out_of_bounds, Flag.missing_error]
    assert all(f"row {row}, {Quantity(table.quantity[row]).name} of station 00001" in job.stderr for row in rows)


def test_threads_change_no_bit(twenty):
    made, expected, _ = twenty
    shutil.rmtree(made.files.analysis.folder)
    made.files.departures.unlink()
    text = made.toml.read_text()
    made.toml.write_text(text + "[analysis]\nthreads = 2\n")
    analyse(made, ranks=2)
    made.toml.write_text(text)
    assert case.contents(made.files) == expected


def test_products_are_complete_and_consistent(twenty):
    made, _, _ = twenty
    members = np.stack([state.read(path, made.space, TIME).data for path in made.files.analysis.members(20)])
    folder = made.files.analysis
    mean, spread = (state.read(path, made.space).data for path in (folder.mean, folder.spread))
    np.testing.assert_allclose(mean, members.mean(axis=0, dtype=float), rtol=1e-6)
    np.testing.assert_allclose(spread, members.std(axis=0, ddof=1, dtype=float), rtol=1e-5)
    levels = np.array([50_000.0, 85_000.0, 92_500.0, 100_000.0])
    counts = field.read(made.files.field("local_observation_count"), "local_observation_count", made.space.grid, levels)
    assert counts.data.max() > 10


def test_every_observation_is_accounted_for_and_the_fit_improves(twenty):
    made, _, _ = twenty
    before, _ = observations.read(made.files.observations)
    after, _ = observations.read_departures(made.files.departures)
    assert np.array_equal(before.value, after.value) and np.array_equal(before.report, after.report)
    assert Flag.passed not in after.counts() and sum(after.counts().values()) == len(before)
    used = after.flag == Flag.assimilated
    scale = after.error[used]
    fit_before, fit_after = (np.mean(((after.value - mean)[used] / scale) ** 2)
                             for mean in (after.background_mean, after.analysis_mean))
    assert used.sum() > 250 and fit_after < 0.9 * fit_before
    # Spread shrinks on average; at single points relaxation to the prior's spread may leave a little more.
    assert (after.analysis_spread[used] / after.background_spread[used]).mean() < 1


def test_the_log_tells_what_happened(twenty):
    made, _, stderr = twenty
    assert "400 observations: " in stderr and "RMS O-B" in stderr and "seconds: read" in stderr
    log = made.files.log("analysis").read_text()
    assert log.count("Z letkf_mpi.analysis INFO") >= stderr.count("Z letkf_mpi.analysis INFO") > 10


def test_a_complete_analysis_is_left_alone(twenty):
    made, _, _ = twenty
    stamps = {path: path.stat().st_mtime_ns for path in made.files.folder.rglob("*.nc")}
    job = analyse(made, ranks=2)
    assert "is complete, nothing to do" in job.stderr
    assert stamps == {path: path.stat().st_mtime_ns for path in made.files.folder.rglob("*.nc")}


def test_without_arguments_the_next_time_is_taken(tmp_path):
    """Run in the experiment's folder; the second call finds the next background, the third finds nothing."""
    made = case.make(tmp_path, more=ADAPTIVE)
    folder = made.settings.experiment.folder
    analyse(made, time=())
    assert made.files.departures.exists()
    later = folder.at(TIME + made.settings.experiment.step)
    for path in [*made.files.background.members(4), made.files.background.mean, made.files.background.spread]:
        at_later = state.State(made.space, state.read(path, made.space).data, TIME + made.settings.experiment.step)
        state.write(later.background.folder / path.name, at_later)
    table, source = observations.read(made.files.observations)
    source = observations.Source(TIME + made.settings.experiment.step, source.window)
    observations.write(later.observations, table, source)
    analyse(made, time=())
    learned = field.read(later.inflation, "inflation", made.space.grid, np.array([5e4, 8.5e4, 9.25e4, 1e5]))
    first = field.read(made.files.inflation, "inflation", made.space.grid, np.array([5e4, 8.5e4, 9.25e4, 1e5]))
    assert np.abs(learned.data - 1.01).max() > np.abs(first.data - 1.01).max() > 0  # it goes on from where it was
    job = alone("-m", "letkf_mpi.analysis", made.toml)
    assert job.returncode == 1 and "no time has a complete background of 4 members and no analysis yet" in job.stderr


def test_realtime_goes_on_without_observations(tmp_path):
    """The background is the analysis to the bit, whatever the inflation."""
    made = case.make(tmp_path, mode="realtime", more='[inflation]\nmethod = "constant"\nfactor = 1.2\n')
    made.files.observations.unlink()
    job = analyse(made, ranks=2)
    assert "no such file" in job.stderr and "goes on without observations" in job.stderr
    for number in range(1, 5):
        background, analysis = (state.read(folder.member(number), made.space).data
                                for folder in (made.files.background, made.files.analysis))
        assert np.array_equal(background, analysis)
    assert len(observations.read_departures(made.files.departures)[0]) == 0


def test_unknown_settings_are_refused(tmp_path):
    made = case.make(tmp_path)
    made.toml.write_text(made.toml.read_text() + "[localization]\nhorizontal = 500\n")
    job = mpirun(2, "-m", "letkf_mpi.analysis", made.toml, NOW)
    assert job.returncode == 1
    assert job.stderr.count("unknown setting 'horizontal'") == 1


def test_the_sections_have_defaults():
    settings = config.decode(builders.experiment(), Settings, "here")
    assert settings.localization.reach_km == pytest.approx(2190.9, abs=0.1)
    assert settings.relaxation.alpha == 0.9
