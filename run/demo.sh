#!/usr/bin/env bash
# The twin experiment from nothing to its table of scores: nature run, first and free ensemble, all cycles.
#
#     run/demo.sh [EXPERIMENT.toml]          default: run/experiments/twin_speedy.toml
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    exit 0
fi
experiment=${1:-$here/experiments/twin_speedy.toml}

"$here/prepare.sh" "$experiment" free
"$here/cycle.sh" "$experiment"
