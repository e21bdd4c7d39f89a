# Inside a Slurm allocation (see run/sbatch.sh): steps with srun and the site's MPI.  Steps share the processors
# (--overlap, Slurm 20.11 on): with --services analysis and forecast stay, but only one is at work, the other sleeps.
# shellcheck shell=bash disable=SC2034
[[ -n ${SLURM_JOB_ID:-} ]] || die "machine slurm: there is no allocation; submit run/sbatch.sh, or set MACHINE=local"
LAUNCH_ANALYSIS=(srun --mpi="${SLURM_MPI:-pmi2}" --ntasks="$RANKS" --cpus-per-task=1 --kill-on-bad-exit=1 --overlap)
LAUNCH_FORECAST=(srun --ntasks=1 --cpus-per-task="${SLURM_CPUS_ON_NODE:-1}" --overlap)
