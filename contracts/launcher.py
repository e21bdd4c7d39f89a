"""What an MPI launcher says to the processes that it starts, by their environment."""

import os
from collections.abc import Mapping

from contracts.errors import UserError

COUNTS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "PMIX_SIZE")  # how many processes it started
_OF_A_STEP = "SLURM_STEP_NUM_TASKS"  # of srun; SLURM_NTASKS is that of the allocation in a batch script


def refuse_several(program: str, instead: str = "", environment: Mapping[str, str] = os.environ) -> None:
    """Raises UserError where a launcher started several copies of a `program` that is to run once, and would all write
    the same files; `instead` says how else its work is shared."""
    for name in (*COUNTS, _OF_A_STEP):
        if environment.get(name, "1") != "1":
            raise UserError(f"{program} is one process with threads, and a launcher started {environment[name]} of "
                            f"them ({name}): start it without mpirun or srun{', or ' * bool(instead)}{instead}")
