#!/usr/bin/env bash
# Cycle an experiment: at each time observations -> analysis -> forecast -> verify.
#
#     run/cycle.sh EXPERIMENT.toml
#
# A step whose product is complete is skipped: after any failure or kill the same command goes on where it stopped,
# and ends with the same bits.  Environment: PYTHON, RANKS, MACHINE, WORK.
set -euo pipefail
# shellcheck source=run/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [[ $# -ne 1 || $1 == -h || $1 == --help ]]; then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    [[ ${1:-} == -h || ${1:-} == --help ]] && exit 0 || exit 2
fi

load_experiment "$1"
only_one

has_observations() { [[ -e $FOLDER/$1/observations.nc ]]; }
has_analysis() { [[ -e $FOLDER/$1/departures.nc ]] && ensemble_complete "$FOLDER/$1/analysis"; }
has_forecast() { ensemble_complete "$FOLDER/$(add_hours "$1" "$STEP_HOURS")/background"; }
has_verify() { [[ -e $FOLDER/$1/scores.nc ]]; }

observations() { "$PYTHON" -m obsproc "$EXPERIMENT" "$1"; }
# A departures file says that the analysis is complete; where members are missing it is not.
analysis() {
    rm -f "$FOLDER/$1/departures.nc"
    "${LAUNCH_ANALYSIS[@]}" "$PYTHON" -m "$ANALYSIS" "$EXPERIMENT" "$1"
}
forecast() { "${LAUNCH_FORECAST[@]}" "$PYTHON" -m model_server forecast "$EXPERIMENT" "$1"; }
verify() { "$PYTHON" -m verify scores "$EXPERIMENT" "$1"; }

# stage NAME TIME: run one step unless its product is there; a step that leaves no product has failed.
stage() {
    if "has_$1" "$2"; then return; fi
    step "$1" "$2" "$1" "$2"
    "has_$1" "$2" || die "$2: step $1 ended without an error but left its product incomplete in $FOLDER/$2"
}

first=${TIMES%% *}
has_analysis "$first" || ensemble_complete "$FOLDER/$first/background" ||
    die "$FOLDER/$first/background: no complete ensemble of $MEMBERS members to begin with; run: run/prepare.sh $EXPERIMENT"

read -ra all_times <<<"$TIMES"
total=${#all_times[@]} worked=0 number=0 started=$SECONDS
for time in "${all_times[@]}"; do
    number=$((number + 1)) before=$SECONDS
    if has_observations "$time" && has_analysis "$time" && has_forecast "$time" && has_verify "$time"; then
        say "$time  complete already"
        continue
    fi
    stage observations "$time"
    stage analysis "$time"
    stage forecast "$time"
    stage verify "$time"
    worked=$((worked + 1))
    left=$(((SECONDS - started) * (total - number) / worked))
    say "$time  cycle $number of $total in $((SECONDS - before)) s$( ((left)) && say ", about $(duration $left) left")"
done

say ""
"$PYTHON" -m verify summary "$EXPERIMENT"
say ""
say "Figures:"
"$PYTHON" -m verify figures "$EXPERIMENT"
