#!/usr/bin/env bash
# Run arms of the short experiments from three starts of 1991, and leave each run's scores in the work folder.
#
#     run/experiments/latent/short.sh ARM…          names of files in short/, such as letkf_600km
#
# The work folder holds nature_t31_1987, and latent/ and residuals_climax_t31 for the arms that want them. A run that is
# complete is passed over; the same command goes on after a kill.  Environment: PYTHON, WORK, STARTS.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
: "${PYTHON:=python}" "${WORK:=$root/work}" "${STARTS:=1991-01-15 1991-04-15 1991-10-15}"
export PYTHON WORK
mkdir -p "$WORK/short"

for arm in "$@"; do
    for start in $STARTS; do
        name=${arm}_$start
        experiment=$WORK/short/$name.toml
        before=$(date -u -d "$start - 1 year - 31 days" +%F)
        end=$(date -u -d "$start + 14 days" +%F)
        cat >"$experiment.new" <<END
base = "$here/short/$arm.toml"
[experiment]
name = "short_$name"
start = ${start}T00:00:00Z
end = ${end}T18:00:00Z
[initial]
first = ${before}T00:00:00Z
END
        mv "$experiment.new" "$experiment"
        [[ -e $WORK/short_$name/$(date -u -d "$end" +%Y%m%d)18/scores.nc ]] && continue
        (cd "$root" && "$PYTHON" -m tests.benchmarks.near_truth "$experiment")
        "$root/run/prepare.sh" "$experiment"
        "$root/run/cycle.sh" "$experiment" --services
    done
done
