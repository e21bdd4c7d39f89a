"""The analysis of real observations, NCEP PREPBUFR of 1989-01-01 12 UTC: the same bits on any number of ranks."""

import shutil

import numpy as np
import pytest

from contracts import observations, times
from contracts.variables import Flag
from tests.letkf_mpi import case
from tests.mpi.launcher import alone, analyse

MEMBERS = 6
NOW = "1989010112"
SETTINGS = '''
[observations]
files = ["{}/prepbufr/prepqm%y%m%d%H"]
[localization]
horizontal_km = 500.0
vertical_ln_p = 0.3
[inflation]
method = "constant"
factor = 1.2
'''


@pytest.fixture(scope="module")
def real(samples, tmp_path_factory) -> case.Case:
    """A made background around the zonal climate of the quantities, and all observations of the file."""
    made = case.make(tmp_path_factory.mktemp("real"), MEMBERS, 32, 64, more=SETTINGS.format(samples))
    time = times.parse(NOW)
    case.add_inputs(made, time)
    made.settings.experiment.folder.at(time).observations.unlink()
    job = alone("-m", "obsproc", made.toml, NOW)
    assert job.returncode == 0, job.stderr
    return made


def test_any_number_of_ranks_gives_the_same_bits_and_accounts_for_every_row(real):
    files = real.settings.experiment.folder.at(times.parse(NOW))
    found = []
    for ranks in (1, 2, 3):
        analyse(real, ranks, (NOW,))
        found.append(case.contents(files))
        table, _ = observations.read_departures(files.departures)
        shutil.rmtree(files.analysis.folder)
        files.departures.unlink()
    assert [name for name in found[0] if not found[0][name] == found[1][name] == found[2][name]] == []
    before, _ = observations.read(files.observations)
    assert len(table) == len(before) > 140_000 and Flag.passed not in table.counts()
    used = table.flag == Flag.assimilated
    departures = (table.value - table.background_mean)[used], (table.value - table.analysis_mean)[used]
    fit_before, fit_after = (np.mean((d / table.error[used]) ** 2) for d in departures)
    assert used.sum() > 20_000 and fit_after < 0.8 * fit_before
