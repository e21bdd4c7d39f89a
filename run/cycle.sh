#!/usr/bin/env bash
# Cycle an experiment: at each time observations -> analysis -> forecast -> verify.
#
#     run/cycle.sh EXPERIMENT.toml              one process per step
#     run/cycle.sh EXPERIMENT.toml --services   the four programs stay alive and wait for one another's files
#     run/cycle.sh EXPERIMENT.toml [--services] --redo STAGE TIME
#
# A step whose product is complete is skipped: after any failure or kill the same command goes on where it stopped,
# and ends with the same bits, with services or without.
#
# --redo makes one step again and all that depends on it: STAGE (observations, analysis, forecast or verify) of TIME
# (YYYYMMDDHH), the later stages of that time that use it and, but for verify, all later times.  What was made of them is
# removed first, and then the run goes on to the end of the experiment as always.  Observations of later times stay.
#
# Environment: PYTHON, RANKS, MACHINE, WORK.
set -euo pipefail
# shellcheck source=run/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

experiment='' manner=stages redo=()
while (($#)); do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --services) manner=services ;;
        --redo) (($# >= 3)) || { usage; exit 2; }; redo=("$2" "$3"); shift 2 ;;
        *) [[ -z $experiment && $1 != -* ]] || { usage; exit 2; }; experiment=$1 ;;
    esac
    shift
done
[[ -n $experiment ]] || { usage; exit 2; }

load_experiment "$experiment"
only_one
rm -f "$FOLDER/log/cycle.out"
if ((${#redo[@]})) || [[ -e $FOLDER/.redo ]]; then  # the file: a removal that was interrupted
    "$PYTHON" -m contracts "$EXPERIMENT" --redo "${redo[@]}"
fi

# shellcheck source=run/programs.sh
source "$CHECKOUT/run/programs.sh"
# shellcheck source=run/retention.sh
source "$CHECKOUT/run/retention.sh"
# shellcheck source=run/cost.sh
source "$CHECKOUT/run/cost.sh"

# cycle_done: one more cycle is finished; say so and let the members go that are kept no longer.
cycle_done() {
    local seconds=$1 details=${2:-}
    worked=$((worked + 1))
    local left=$(((SECONDS - started) * (total - number) / worked))
    say "${all_times[number - 1]}  cycle $number of $total in $seconds s$details$( ((left)) &&
        say ", about $(duration $left) left")"
    tidy_up_to "$number"
    tidy_forecasts_up_to "$number"
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
at_exit() { end_services; end_status; write_cost "$worked" 2>/dev/null || true; }

can_begin
room=$("$PYTHON" -m contracts "$EXPERIMENT" --disk)

total=${#all_times[@]} worked=0 number=0 started=$SECONDS TELLER=
say "$NAME: $total cycles, $MEMBERS members, $room"
STOP=$FOLDER/stop
rm -f "$STOP"
trap at_exit EXIT
start_status
if [[ $manner == services ]]; then
    ((${#ON_DEATH_OF_PARENT[@]})) ||
        say "there is no setpriv (util-linux): if this script is killed its services go on; touch $STOP ends them"
fi
# shellcheck source=/dev/null
source "$CHECKOUT/run/$manner.sh"

say ""
"$PYTHON" -m verify summary "$EXPERIMENT"
if [[ -n $DRAW_FIGURES ]]; then
    say ""
    say "Figures:"
    "$PYTHON" -m verify figures "$EXPERIMENT"
fi
