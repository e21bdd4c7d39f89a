#!/usr/bin/env bash
# Cycle an experiment: at each time observations -> analysis -> forecast -> verify.
#
#     run/cycle.sh EXPERIMENT.toml              one process per step
#     run/cycle.sh EXPERIMENT.toml --services   the four programs stay alive and wait for one another's files
#
# A step whose product is complete is skipped: after any failure or kill the same command goes on where it stopped,
# and ends with the same bits, with services or without.  Environment: PYTHON, RANKS, MACHINE, WORK.
set -euo pipefail
# shellcheck source=run/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [[ $# -lt 1 || $# -gt 2 || ${2:---services} != --services || $1 == -h || $1 == --help ]]; then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    [[ ${1:-} == -h || ${1:-} == --help ]] && exit 0 || exit 2
fi

load_experiment "$1"
only_one

has_observations() { [[ -e $FOLDER/$1/observations.nc ]]; }
has_analysis() { [[ -e $FOLDER/$1/departures.nc ]] && ensemble_complete "$FOLDER/$1/analysis"; }
has_forecast() { ensemble_complete "$FOLDER/${NEXT[$1]}/background"; }
has_verify() { [[ -e $FOLDER/$1/scores.nc ]]; }
finished() { has_verify "$1" && has_observations "$1" && has_analysis "$1" && has_forecast "$1"; }

# cycle_done: one more cycle is finished; say so and let the members go that are kept no longer.
cycle_done() {
    local seconds=$1 details=${2:-}
    worked=$((worked + 1))
    local left=$(((SECONDS - started) * (total - number) / worked))
    say "${all_times[number - 1]}  cycle $number of $total in $seconds s$details$( ((left)) &&
        say ", about $(duration $left) left")"
    tidy_up_to "$number"
}

# tidy_up_to NUMBER: when that many cycles are finished.
tidy_up_to() {
    [[ -n $KEEP_HOURS ]] || return 0
    while (($1 - 1 - tidied > KEEP_HOURS / STEP_HOURS)); do
        tidy "${all_times[tidied]}"
        tidied=$((tidied + 1))
    done
}

# Beside the run its status is kept true.  Who tells it holds no lock: the lock says whether anything is at work.
start_status() {
    [[ -n $TELL_STATUS ]] || return 0
    "${ON_DEATH_OF_PARENT[@]}" "$PYTHON" -m verify status "$EXPERIMENT" --follow {LOCK}>&- &>/dev/null </dev/null &
    TELLER=$!
}

# end_status: the last word is said when nothing is at work any more.
end_status() {
    [[ -n $TELLER ]] || return 0
    kill "$TELLER" 2>/dev/null || true
    wait "$TELLER" || true
    exec {LOCK}>&-
    "$PYTHON" -m verify status "$EXPERIMENT" &>/dev/null || true
}

end_services() { :; }  # services.sh has some
at_exit() { end_services; end_status; }

first=${TIMES%% *}
has_analysis "$first" || ensemble_complete "$FOLDER/$first/background" ||
    die "$FOLDER/$first/background: no complete ensemble of $MEMBERS members to begin with; run: run/prepare.sh $EXPERIMENT"
room=$("$PYTHON" -m contracts "$EXPERIMENT" --disk)

read -ra all_times <<<"$TIMES"
declare -A NEXT=()
for ((i = 0; i + 1 < ${#all_times[@]}; i++)); do NEXT[${all_times[i]}]=${all_times[i + 1]}; done
NEXT[${all_times[-1]}]=$(add_hours "${all_times[-1]}" "$STEP_HOURS")

total=${#all_times[@]} worked=0 number=0 started=$SECONDS tidied=0 TELLER=
say "$NAME: $total cycles, $MEMBERS members, $room"
STOP=$FOLDER/stop
rm -f "$STOP"
trap at_exit EXIT
start_status
if [[ ${2:-} == --services ]]; then
    ((${#ON_DEATH_OF_PARENT[@]})) ||
        say "there is no setpriv (util-linux): if this script is killed its services go on; touch $STOP ends them"
    # shellcheck source=run/services.sh
    source "$CHECKOUT/run/services.sh"
else
    # shellcheck source=run/stages.sh
    source "$CHECKOUT/run/stages.sh"
fi

say ""
"$PYTHON" -m verify summary "$EXPERIMENT"
say ""
say "Figures:"
"$PYTHON" -m verify figures "$EXPERIMENT"
