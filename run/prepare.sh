#!/usr/bin/env bash
# Make what an experiment begins with: its nature run, the first ensemble and, if asked, the free ensemble.
#
#     run/prepare.sh EXPERIMENT.toml [free]
#
# What is complete is left alone.  Environment: PYTHON, MACHINE, WORK.
set -euo pipefail
# shellcheck source=run/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [[ $# -lt 1 || $# -gt 2 || ${2:-free} != free || $1 == -h || $1 == --help ]]; then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    [[ ${1:-} == -h || ${1:-} == --help ]] && exit 0 || exit 2
fi

load_experiment "$1"
only_one

launch forecast '' ''  # once, where the forecasts are made
for command in nature initial ${2:+free}; do
    began=$(clock)
    "${LAUNCH[@]}" "$PYTHON" -m model_server "$command" "$EXPERIMENT"
    printf '%-22s  %7s s\n' "$command" "$(seconds_since "$began")"
done
