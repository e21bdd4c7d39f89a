"""The analysis of parameters on real processes: the same bits on any number of ranks; without it nothing changes."""

import shutil

import numpy as np
import pytest

from contracts import parameters
from contracts.parameters import Parameter, Parameters
from tests.builders import TIME
from tests.letkf_mpi import case
from tests.mpi.launcher import alone, analyse

OF = (Parameter("drag", "1", 1.0, 0.5, 2.0), Parameter("relaxation", "h", 6.0, 2.0, 12.0))
MEMBERS = 4
SECTION = "[parameters]\nband_degrees = 30\nleast_spread = 0.01\n"


def made_with(folder, more: str) -> case.Case:
    made = case.make(folder, members=MEMBERS, nlat=6, nlon=8, more=more)
    values = np.random.default_rng(1).uniform([0.5, 2.0], [2.0, 12.0], (MEMBERS, 2))
    parameters.write(made.files.background.parameters, Parameters(OF, values), TIME)
    return made


def test_the_same_bits_on_any_number_of_ranks(tmp_path):
    made = made_with(tmp_path, SECTION)
    job = analyse(made)
    old, new = (parameters.read(ensemble.parameters, TIME, MEMBERS, OF).values
                for ensemble in (made.files.background, made.files.analysis))
    assert abs(new - old).min() > 0
    assert "parameter drag:" in job.stderr
    expected = case.contents(made.files)
    for ranks in (2, 3, 6):
        shutil.rmtree(made.files.analysis.folder)
        made.files.departures.unlink()
        analyse(made, ranks)
        assert case.contents(made.files) == expected


def test_states_are_analysed_as_without_and_without_the_section_no_parameters_are_written(tmp_path):
    found = []
    for name, more in (("with", SECTION), ("without", "")):
        (tmp_path / name).mkdir()
        made = made_with(tmp_path / name, more)
        analyse(made)
        found.append(case.contents(made.files))
    written = [name for name in found[0] if name not in found[1]]
    assert {name.split(":")[0] for name in written} == {"analysis/parameters.nc"}
    assert all(found[0][name] == found[1][name] for name in found[1])


@pytest.mark.parametrize(("damage", "told"), [
    (lambda path: path.unlink(), "parameters.nc: no such file; expected a parameters/1 file"),
    (lambda path: parameters.write(path, Parameters(OF, np.tile([1.0, 6.0], (3, 1))), TIME), "of 4 members, got 3"),
])
def test_parameters_that_are_missing_or_do_not_fit_are_refused_by_one_sentence(tmp_path, damage, told):
    made = made_with(tmp_path, SECTION)
    damage(made.files.background.parameters)
    job = alone("-m", "letkf_mpi.analysis", made.toml, case.NOW)
    assert job.returncode == 1 and told in job.stderr
    assert not made.files.departures.exists()
