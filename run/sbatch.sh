#!/usr/bin/env bash
# One allocation for a whole experiment; its steps start inside it.  A template: change the resources to your site's.
#
#     sbatch run/sbatch.sh run/experiments/twin_speedy.toml
#
# A job that ran out of time goes on where it stopped when it is submitted again.
#SBATCH --job-name=letkf-cycle
#SBATCH --nodes=1
#SBATCH --ntasks=32
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@60
#SBATCH --output=%x-%j.out
set -euo pipefail
# Slurm runs a copy of this script, so the checkout is where the job was submitted from.
cd "${CHECKOUT:-$SLURM_SUBMIT_DIR}"
export MACHINE=slurm RANKS=${RANKS:-$SLURM_NTASKS}
: "${1:?usage: sbatch run/sbatch.sh EXPERIMENT.toml [--services]}"
exec run/cycle.sh "$@"
