# Inside a Slurm allocation (see run/sbatch.sh): steps with srun and an MPI that speaks PMI2, as the bundled MPICH does.
# Steps share processors and memory (--overlap, Slurm 20.11 on): analysis and forecast stay, but only one is at work.
# In a heterogeneous job the analysis has the first part of the allocation and the forecast the second.
# shellcheck shell=bash disable=SC2034
[[ -n ${SLURM_JOB_ID:-} ]] || die "machine slurm: there is no allocation; submit run/sbatch.sh, or set MACHINE=local"
analysis_part=() forecast_part=() forecast_cpus=${SLURM_CPUS_ON_NODE:-1}
if [[ -n ${SLURM_HET_SIZE:-} ]]; then
    analysis_part=(--het-group=0) forecast_part=(--het-group=1)
    forecast_cpus=${SLURM_JOB_CPUS_PER_NODE_HET_GROUP_1%%[(,]*}  # 16 of 16(x2),8
fi
LAUNCH_ANALYSIS=(srun "${analysis_part[@]}" --mpi="${SLURM_MPI:-pmi2}" --ntasks="$RANKS" --cpus-per-task=1
                 --kill-on-bad-exit=1 --overlap)
LAUNCH_FORECAST=(srun "${forecast_part[@]}" --ntasks=1 --cpus-per-task="$forecast_cpus" --overlap)
