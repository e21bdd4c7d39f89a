"""Every method that the experiment file can name, on real processes: the same bits on any number of ranks."""

import shutil

import numpy as np
import pytest

from contracts import field, state, times
from tests import builders
from tests.builders import TIME
from tests.letkf_mpi import case
from tests.mpi.launcher import alone
from tests.mpi.test_analysis import NEXT, analyse

STATES = 'states = "climate/*.nc"'
METHODS = {
    "perturbed observations": '[analysis.solver]\nmethod = "perturbed_observations"\n',
    "hybrid": f'[analysis.solver]\nmethod = "hybrid"\n[analysis.static]\n{STATES}\nsize = 7\nscale = 0.5\n',
    "particles, sinkhorn": '[analysis.solver]\nmethod = "particle_filter"\nkernel = 0.0\n',
    "particles, monte carlo": '[analysis.solver]\nmethod = "particle_filter"\nresampling = "monte_carlo"\n',
    "adaptive rtpp": '[relaxation]\nmethod = "adaptive_rtpp"\n',
    "adaptive rtps": '[relaxation]\nmethod = "adaptive_rtps"\n',
    "additive": f'[inflation]\nmethod = "constant"\n[inflation.additive]\n{STATES}\nscale = 0.3\n',
    "nearest": "[localization]\nnearest = 2\n",
}


def made_with(folder, more: str, members: int = 4) -> case.Case:
    made = case.make(folder, members=members, nlat=6, nlon=8, more=more)
    for number in range(9):
        state.write(folder / "climate" / f"{number}.nc", builders.random_state(made.space, 500 + number))
    return made


@pytest.mark.parametrize("method", METHODS)
def test_any_number_of_ranks_gives_the_same_bits(tmp_path, method):
    made = made_with(tmp_path, METHODS[method])
    analyse(made)
    expected = case.contents(made.files)
    shutil.rmtree(made.files.analysis.folder)
    made.files.departures.unlink()
    analyse(made, ranks=6)
    found = case.contents(made.files)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []


@pytest.mark.parametrize("method", METHODS)
def test_it_is_another_analysis_than_the_plain_one_and_a_sane_one(tmp_path, method):
    results = {}
    for name, more in (("plain", ""), ("with", METHODS[method])):
        (tmp_path / name).mkdir()
        made = made_with(tmp_path / name, more)
        analyse(made)
        results[name] = state.read(made.files.analysis.spread, made.space).data
    background = state.read(made.files.background.spread, made.space).data
    assert not np.array_equal(results["plain"], results["with"])
    assert 0.3 < results["with"].mean() / background.mean() < 3.0


@pytest.mark.parametrize("method", ["adaptive_rtpp", "adaptive_rtps"])
def test_alpha_of_a_time_is_that_learned_at_the_time_before(tmp_path, method):
    made = made_with(tmp_path, f'[relaxation]\nmethod = "{method}"\nsmoothing = 0.5\n')
    later = times.parse(NEXT)
    case.add_inputs(made, later, seed=50)
    analyse(made, time=(case.NOW,))
    first = made.settings.experiment.folder.at(TIME).field("relaxation_alpha")
    levels = np.unique(made.space.pressure)
    learned = field.read(first, "relaxation_alpha", made.space.grid, levels).data
    assert learned.min() >= 0 and learned.max() <= 1 and learned.std() > 0

    analyse(made, time=(NEXT,))
    files = made.settings.experiment.folder.at(later)
    once = case.contents(files)
    shutil.rmtree(files.analysis.folder)
    files.departures.unlink()
    field.write(first, field.Field("relaxation_alpha", "1", made.space.grid, levels, 0.0 * learned, TIME))
    analyse(made, time=(NEXT,))
    assert case.contents(files) != once  # the field is read
    first.unlink()
    shutil.rmtree(files.analysis.folder)
    files.departures.unlink()
    assert "relaxation_alpha.nc: no such file" in refused(made)


def refused(made) -> str:
    job = alone("-m", "letkf_mpi.analysis", made.toml, NEXT)
    assert job.returncode == 1
    return job.stderr


def test_too_few_states_are_refused_by_one_sentence(tmp_path):
    made = made_with(tmp_path, f'[inflation]\nmethod = "constant"\n[inflation.additive]\n{STATES}\n', members=12)
    job = alone("-m", "letkf_mpi.analysis", made.toml, case.NOW)
    assert job.returncode == 1
    assert "[inflation.additive] states: expected at least 12 state files" in job.stderr
