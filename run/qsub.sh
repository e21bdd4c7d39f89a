#!/usr/bin/env bash
# One PBS job for a whole experiment; its programs start inside it once.  A template: change the resources to your
# site's here, because only what stands here is asked for again when the job goes back into the queue.
#
#     qsub -v EXPERIMENT=run/experiments/twin_speedy.toml[,PREPARE=--prepare] run/qsub.sh
#
# PREPARE makes the nature run and the first ensemble before.  Three minutes before its time is over the job finishes
# the steps in hand and submits its successor, which goes on where it stopped, with the same bits.  qdel ends it for
# good; submitted again it goes on.  The variables WORK, PYTHON and LETKF_SAMPLES are handed on where they are set.
#PBS -N letkf-cycle
#PBS -l select=1:ncpus=32:mpiprocs=32
#PBS -l walltime=04:00:00
#PBS -j oe
#PBS -r y
set -euo pipefail
if [[ $# -gt 0 || -z ${EXPERIMENT:-} || -z ${PBS_JOBID:-} ]]; then
    sed -n '2,/^#PBS/{/^# \|^#$/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    if [[ ${1:-} == -h || ${1:-} == --help ]]; then exit 0; fi
    exit 2
fi
# PBS runs a copy of this script, so the checkout is where the job was submitted from.
cd "${CHECKOUT:-$PBS_O_WORKDIR}"
# shellcheck source=run/batch.sh
source run/batch.sh
export MACHINE=pbs RANKS=${RANKS:-$(wc -l <"$PBS_NODEFILE")}

# PBS tells a job nothing before its end, so it asks itself, by the limit that it was given; without one it never does.
limit=$(qstat -f "$PBS_JOBID" | sed -n 's/^ *Resource_List.walltime = //p')
if [[ $limit =~ ^([0-9]+):([0-9]+):([0-9]+)$ ]]; then
    limit=$((10#${BASH_REMATCH[1]} * 3600 + 10#${BASH_REMATCH[2]} * 60 + 10#${BASH_REMATCH[3]}))
    ((limit > 180)) || { echo "qsub.sh: walltime is $limit s; ask for more than the 180 s kept for its end" >&2; exit 1; }
    { sleep $((limit - 180)); kill -USR1 $$; } &
    trap "kill -TERM -- -$! 2>/dev/null || true" EXIT
fi
status=0
whole_experiment "$(realpath "$EXPERIMENT")" ${PREPARE:+"$PREPARE"} || status=$?
if more_to_do "$status"; then
    handed=EXPERIMENT=$EXPERIMENT
    for name in PREPARE CHECKOUT WORK PYTHON LETKF_SAMPLES; do handed+=${!name:+,$name=${!name}}; done
    echo "time is nearly over: job $PBS_JOBID submits its successor"
    qsub -W depend=afterany:"$PBS_JOBID" -v "$handed" run/qsub.sh
fi
exit "$status"
