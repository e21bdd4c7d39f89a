"""What an MPI launcher says to the processes that it starts, by their environment."""

import os
from collections.abc import Mapping

from contracts.errors import UserError

# How many processes it started: Hydra and Slurm's PMI, Open MPI, MVAPICH2, IBM's jsrun.
COUNTS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "PMIX_SIZE", "MV2_COMM_WORLD_SIZE", "JSM_NAMESPACE_SIZE")
RANKS = ("PMIX_RANK", "PALS_RANKID", "ALPS_APP_PE")  # of launchers that say no count: PMIx, HPE Cray's
_OF_A_STEP = "SLURM_STEP_NUM_TASKS"  # of srun; SLURM_NTASKS is that of the allocation in a batch script


def refuse_several(program: str, instead: str = "", environment: Mapping[str, str] = os.environ) -> None:
    """Raises UserError where a launcher started several copies of a `program` that is to run once, and would all write
    the same files; `instead` says how else its work is shared."""
    for name in (*COUNTS, _OF_A_STEP):
        if environment.get(name, "1") != "1":
            raise UserError(f"{program} is one process with threads, and a launcher started {environment[name]} of "
                            f"them ({name}): start it without mpirun or srun{', or ' * bool(instead)}{instead}")
    if name := is_another(environment):
        raise UserError(f"{program} is one process with threads, and a launcher started several ({name} is "
                        f"{environment[name]}): start it without{', or ' * bool(instead)}{instead}")


def is_another(environment: Mapping[str, str]) -> str:
    """The variable by which a launcher says that this process is not its first one; empty where none does."""
    return next((name for name in RANKS if environment.get(name, "0") != "0"), "")
