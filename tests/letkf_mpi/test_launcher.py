"""A launcher of another MPI starts processes that do not find one another: each would take itself for all of them."""

import pytest

from contracts.errors import UserError
from contracts.launcher import COUNTS, RANKS
from letkf_mpi.ranks.parallel import check_launcher


@pytest.mark.parametrize("name", COUNTS)
def test_as_many_as_were_started_must_have_found_one_another(name):
    check_launcher(4, {name: "4", "LETKF_RANKS": "4"})
    check_launcher(1, {name: "1", "SLURM_NTASKS": "32"})  # one process inside a batch script
    with pytest.raises(UserError, match=rf"the launcher says {name}=4, but MPI sees 1 process.*another MPI"):
        check_launcher(1, {name: "4"})


@pytest.mark.parametrize("name", RANKS)
def test_a_process_that_is_told_a_rank_is_not_alone(name):
    check_launcher(1, {name: "0"})
    check_launcher(4, {name: "3"})
    with pytest.raises(UserError, match=f"the launcher says {name}=3, so there are others, but MPI sees 1 process"):
        check_launcher(1, {name: "3"})


def test_a_launcher_that_says_nothing_is_found_out_by_what_was_asked_of_it():
    check_launcher(1, {})
    with pytest.raises(UserError, match="run/cycle.sh asked its launcher for 8 processes, but MPI sees 1: set MPIEXEC"):
        check_launcher(1, {"LETKF_RANKS": "8"})


def test_an_allocation_without_a_launcher_is_named():
    with pytest.raises(UserError, match="one process without a launcher inside a Slurm allocation of 32 tasks"):
        check_launcher(1, {"SLURM_NTASKS": "32"})
