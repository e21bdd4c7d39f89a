"""Every method that the experiment file can name, on real processes: the same bits on any number of ranks."""

import shutil

import numpy as np
import pytest

from contracts import field, observations, state, times
from tests import builders
from tests.builders import TIME
from tests.letkf_mpi import case
from tests.mpi.launcher import NEXT, alone, analyse

STATES = 'states = "climate/*.nc"'
METHODS = {
    "perturbed observations": '[analysis.solver]\nmethod = "perturbed_observations"\n',
    "hybrid": f'[analysis.solver]\nmethod = "hybrid"\n[analysis.static]\n{STATES}\nsize = 7\nscale = 0.5\n',
    "particles, sinkhorn": '[analysis.solver]\nmethod = "particle_filter"\nkernel = 0.0\n',
    "particles, monte carlo": '[analysis.solver]\nmethod = "particle_filter"\nresampling = "monte_carlo"\n',
    "adaptive rtpp": '[relaxation]\nmethod = "adaptive_rtpp"\n',
    "adaptive rtps": '[relaxation]\nmethod = "adaptive_rtps"\n',
    "additive": f'[inflation]\nmethod = "constant"\n[inflation.additive]\n{STATES}\nscale = 0.3\n',
    "nearest": "[localization]\nnearest = { ADPUPA = 1, temperature = 1 }\n",
    "tempering": '[analysis]\ntempering = [0.2, 0.8]\n[inflation]\nmethod = "adaptive"\n',
}


def made_with(folder, more: str, members: int = 4) -> case.Case:
    made = case.make(folder, members=members, nlat=6, nlon=8, more=more)
    for number in range(9):
        state.write(folder / "climate" / f"{number}.nc", builders.random_state(made.space, 500 + number))
    return made


@pytest.fixture(scope="module")
def plain_spread(tmp_path_factory) -> np.ndarray:
    """Spread of the analysis without any of the methods."""
    made = made_with(tmp_path_factory.mktemp("plain"), "")
    analyse(made)
    return state.read(made.files.analysis.spread, made.space).data


@pytest.mark.parametrize("method", METHODS)
def test_it_is_a_sane_analysis_of_its_own_with_the_same_bits_on_any_number_of_ranks(tmp_path, plain_spread, method):
    made = made_with(tmp_path, METHODS[method])
    analyse(made)
    spread, background = (state.read(ensemble.spread, made.space).data
                          for ensemble in (made.files.analysis, made.files.background))
    assert not np.array_equal(plain_spread, spread)
    assert 0.3 < spread.mean() / background.mean() < 3.0

    expected = case.contents(made.files)
    shutil.rmtree(made.files.analysis.folder)
    made.files.departures.unlink()
    analyse(made, ranks=5)  # more than members
    found = case.contents(made.files)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []


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


def test_four_equal_parts_are_four_analyses_one_after_another_with_errors_twice_as_large(tmp_path):
    """To the bit: the analysis of each part is the background of the next, and 4 is a power of two."""
    bare = '[relaxation]\nmethod = "none"\n[background_check]\nlimit = 1e6\n'
    in_parts, by_hand = ((tmp_path / name) for name in ("parts", "hand"))
    in_parts.mkdir()
    by_hand.mkdir()
    tempered = made_with(in_parts, f"[analysis]\ntempering = 4\n{bare}")
    analyse(tempered, ranks=3)
    made = made_with(by_hand, bare)
    table, source = observations.read(made.files.observations)
    observations.write(made.files.observations, table.with_columns(error=2 * table.error), source)
    for part in range(4):
        analyse(made)
        if part < 3:
            for number in range(1, 5):
                shutil.copy(made.files.analysis.member(number), made.files.background.member(number))
            made.files.departures.unlink()
    for number in range(1, 5):
        found, expected = (state.read(one.files.analysis.member(number), one.space).data for one in (tempered, made))
        assert np.array_equal(found, expected)
    of_parts, of_last = (observations.read_departures(one.files.departures)[0] for one in (tempered, made))
    first, _ = observations.read(tempered.files.observations)
    assert np.array_equal(of_parts.error, first.error)
    np.testing.assert_allclose(of_parts.analysis_mean, of_last.analysis_mean, rtol=1e-14)
    assert np.nanmax(np.abs(of_parts.background_mean - of_last.background_mean)) > 0  # that of the first background


def test_too_few_states_are_refused_by_one_sentence(tmp_path):
    made = made_with(tmp_path, f'[inflation]\nmethod = "constant"\n[inflation.additive]\n{STATES}\n', members=12)
    job = alone("-m", "letkf_mpi.analysis", made.toml, case.NOW)
    assert job.returncode == 1
    assert "[inflation.additive] states: expected at least 12 state files" in job.stderr
