#!/usr/bin/env bash
# One stage of one time, for workflow managers; nothing is done where its product is complete.
#
#     run/stage.sh EXPERIMENT.toml STAGE TIME      STAGE: observations, analysis, forecast or verify; TIME: YYYYMMDDHH
#
# After verify the members go that are kept no longer.  It takes no lock: who calls it keeps the order (run/cylc.sh
# does, and holds the lock meanwhile).
# Environment: PYTHON, RANKS, MACHINE, WORK.
set -euo pipefail
# shellcheck source=run/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [[ $# -ne 3 ]]; then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    [[ ${1:-} == -h || ${1:-} == --help ]] && exit 0 || exit 2
fi
load_experiment "$1"
[[ " $STAGES " == *" $2 "* ]] || die "$2 is no stage: expected one of $STAGES"
[[ " $TIMES " == *" $3 "* ]] || die "$3 is no analysis time of $NAME: expected one of ${TIMES%% *} to ${TIMES##* }"
# shellcheck source=run/programs.sh
source "$CHECKOUT/run/programs.sh"
# shellcheck source=run/retention.sh
source "$CHECKOUT/run/retention.sh"
room_for "$3"
stage "$2" "$3"
rm -f "$FOLDER/log/cycle.out"  # last words of an earlier try
if [[ $2 == verify ]]; then
    count_finished
    tidy_up_to "$number"
    tidy_forecasts_up_to "$number"
fi
