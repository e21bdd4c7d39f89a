#!/usr/bin/env bash
# Early analyses beside an experiment that waits long for its observations, and forecasts that go out from them.
#
#     run/early.sh EARLY.toml MAIN.toml STEPS
#
# MAIN is cycled by run/cycle.sh with a late cut-off: its analyses have nearly all observations, and every background
# comes from them.  EARLY (`base = "MAIN.toml"`, another name, an earlier [realtime] cutoff_hours) analyses the same
# backgrounds at its own cut-off and runs an extended forecast of STEPS model steps.  Nothing of it goes back into MAIN:
# the late analysis alone is cycled, whether the early one was made or not.  What is complete is skipped.
#
# Environment: PYTHON, RANKS, MACHINE, WORK.
set -euo pipefail
# shellcheck source=run/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [[ $# != 3 || $1 == -h || $1 == --help ]]; then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    [[ ${1:-} == -h || ${1:-} == --help ]] && exit 0 || exit 2
fi

load_experiment "$2"
main=$FOLDER
load_experiment "$1"
steps=$3
[[ $FOLDER != "$main" ]] || die "$1 and $2 have the same name and folder, $FOLDER: give the early one a name of its own"
only_one
stop=$FOLDER/stop
rm -f "$stop"

# shellcheck source=run/programs.sh
source "$CHECKOUT/run/programs.sh"

extended() { at_time forecast "$1" --steps "$steps" && : >"$FOLDER/$1/forecast/.complete"; }
early() { if [[ $1 == forecast ]]; then has_forecast "$2" || step forecast "$2" extended "$2"; else stage "$@"; fi; }
has_forecast() { [[ -e $FOLDER/$1/forecast/.complete ]]; }

go_on() { [[ ! -e $stop ]] || { say "stopped by $stop; the same command goes on"; exit 130; }; }

# take_over FILE: of MAIN, if it is there.
take_over() {
    [[ -e $main/$1 ]] || return 0
    mkdir -p "$(dirname "$FOLDER/$1")"
    ln -sfnr "$main/$1" "$FOLDER/$1"
}

# begin_with TIME: the background, and what the analysis before it has learned.
begin_with() {
    local before file
    before=$(add_hours "$1" "-$STEP_HOURS")
    for file in static.nc clock.json "$1/background"; do take_over "$file"; done
    for file in $CARRIED; do take_over "$before/$file"; done
}

for time in $TIMES; do
    ! { has_forecast "$time" && has_verify "$time"; } || continue
    until ensemble_complete "$main/$time/background"; do
        go_on
        sleep 1
    done
    begin_with "$time"
    for name in "${all_stages[@]}"; do
        early "$name" "$time" || { go_on; exit 1; }
        go_on
    done
done
