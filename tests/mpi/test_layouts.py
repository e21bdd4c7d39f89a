"""The exchange between members and columns is exact, with more ranks than members and than columns too."""

import pytest

from tests.mpi import transpose
from tests.mpi.launcher import mpirun


@pytest.mark.parametrize("ranks", [1, 2, 7])
def test_there_and_back_is_the_identity(ranks):
    job = mpirun(ranks, "-m", "tests.mpi.transpose")
    assert job.returncode == 0, job.stderr
    assert job.stdout.strip() == f"{len(transpose.SHAPES)} shapes exact on {ranks} ranks"
