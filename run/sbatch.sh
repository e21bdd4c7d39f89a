#!/usr/bin/env bash
# One Slurm allocation for a whole experiment; its programs start inside it once.  A template: change the resources to
# your site's, here or on the command line.
#
#     sbatch run/sbatch.sh EXPERIMENT.toml [--prepare]
#     sbatch -p cpu -N 2 -n 128 : -p gpu -n 1 --gpus=1 --time=04:00:00 run/sbatch.sh EXPERIMENT.toml
#
# The second line asks for two parts (a heterogeneous job): the analysis has the first, the forecast the second.
# Each task is a rank of the analysis and is asked for with one processor here.  An experiment with `[analysis] threads`
# = N above 1 needs N of each: -c N, or `#SBATCH --cpus-per-task=N` below, in the analysis' part where there are two.
# --prepare makes the nature run and the first ensemble before.  Three minutes before its time is over (USR1) the job
# finishes the steps in hand and goes back into the queue; then, and after the failure of a node, it goes on where it
# stopped, with the same bits.  scancel ends it for good; submitted again it goes on.
#SBATCH --job-name=letkf-cycle
#SBATCH --nodes=1
#SBATCH --ntasks=32
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@180
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.out
set -euo pipefail
if [[ $# -lt 1 || $# -gt 2 || ${2:---prepare} != --prepare || -z ${SLURM_JOB_ID:-} ]]; then
    sed -n '2,/^#SBATCH/{/^# \|^#$/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    if [[ ${1:-} == -h || ${1:-} == --help ]]; then exit 0; fi
    exit 2
fi
experiment=$(realpath "$1")
# Slurm runs a copy of this script, so the checkout is where the job was submitted from.
cd "${CHECKOUT:-$SLURM_SUBMIT_DIR}"
# shellcheck source=run/batch.sh
source run/batch.sh
export MACHINE=slurm RANKS=${RANKS:-$SLURM_NTASKS}
status=0
whole_experiment "$experiment" "${@:2}" || status=$?
if more_to_do "$status"; then
    echo "time is nearly over: job $SLURM_JOB_ID goes back into the queue"
    scontrol requeue "${SLURM_HET_JOB_ID:-$SLURM_JOB_ID}"
fi
exit "$status"
