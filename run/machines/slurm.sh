# Inside a Slurm allocation (see run/sbatch.sh): steps with srun and an MPI that speaks PMI2, as the bundled MPICH does.
# Steps share processors and memory (--overlap, Slurm 20.11 on): analysis and forecast stay, but only one is at work.
# In a heterogeneous job the analysis has the first part of the allocation and the forecast the second.
# shellcheck shell=bash disable=SC2034
[[ -n ${SLURM_JOB_ID:-} ]] || die "machine slurm: there is no allocation; submit run/sbatch.sh, or set MACHINE=local"

# launch STAGE RANKS THREADS: see run/README.md.
launch() {
    local part=() group=0 cpus=SLURM_CPUS_ON_NODE
    if [[ -n ${SLURM_HET_SIZE:-} ]]; then
        [[ $1 != forecast ]] || group=1
        part=(--het-group="$group") cpus=SLURM_JOB_CPUS_PER_NODE_HET_GROUP_$group
    fi
    if [[ -n $2 ]]; then
        LAUNCH=(srun "${part[@]}" --mpi="${SLURM_MPI:-pmi2}" --ntasks="$2" --cpus-per-task="${3:-1}"
                --kill-on-bad-exit=1 --overlap)
    else
        cpus=${!cpus:-1}  # may be 16(x2),8
        LAUNCH=(srun "${part[@]}" --ntasks=1 --cpus-per-task="${3:-${cpus%%[(,]*}}" --overlap)
    fi
}
