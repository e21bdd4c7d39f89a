#!/usr/bin/env bash
# Cycle an experiment by ecFlow: a suite with a family for each time, on the server that ECF_HOST and ECF_PORT name.
#
#     run/ecflow.sh EXPERIMENT.toml          load the suite, begin it, and stay until all is done
#     run/ecflow.sh EXPERIMENT.toml --text   only print the suite
#
# It begins at the first time that is not finished, so that after any failure the same command goes on, and ends with
# the same bits as cycle.sh.  Exit status 1 where the suite had to stop.  Jobs run where the server runs its jobs; they
# get PATH, PYTHONPATH and the variables that the experiment file names from here.
#
# Environment: PYTHON, RANKS, MACHINE, WORK as for cycle.sh; ECF_HOST (default: localhost), ECF_PORT (3141); ECFLOW_CLIENT,
# the program (default: .venv/ecflow/bin/ecflow_client, which `make ecflow` lays there, else ecflow_client);
# RETRY_SECONDS, before each further try (default: "10 60 300").
set -euo pipefail
# shellcheck source=run/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [[ $# -lt 1 || $# -gt 2 || ${2:---text} != --text || $1 == -h || $1 == --help ]]; then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    [[ ${1:-} == -h || ${1:-} == --help ]] && exit 0 || exit 2
fi
RETRY_SECONDS=${RETRY_SECONDS-10 60 300}
[[ $RETRY_SECONDS =~ ^[0-9\ ]*$ ]] || die "RETRY_SECONDS: expected seconds such as '10 60 300', got '$RETRY_SECONDS'"

load_experiment "$(realpath "$1")"
# shellcheck source=run/programs.sh
source "$CHECKOUT/run/programs.sh"
SUITE=${NAME//[!A-Za-z0-9_]/_} HOME_OF_SUITE=$FOLDER/ecflow
gone_round=''  # stages without which, in real time, the cycle goes on
[[ $MODE != realtime ]] || gone_round=observations

# trigger_of STAGE INDEX: what must be complete before a stage of that time begins.
trigger_of() {
    local need all=()
    for need in $NEEDS; do [[ $need != "$1":* ]] || all+=("${need#*:} == complete"); done
    if (($2 > first)); then
        for need in $NEEDS_BEFORE; do [[ $need != "$1":* ]] || all+=("../${all_times[$2 - 1]}/${need#*:} == complete"); done
        # Observations are made a little ahead: in order, and not more than three times before what is scored.
        [[ $1 != observations ]] || all+=("../${all_times[$2 - 1]}/observations == complete")
        [[ $1 != observations || $2 -lt $((first + 3)) ]] || all+=("../${all_times[$2 - 3]}/verify == complete")
    fi
    ((${#all[@]} == 0)) || printf '      trigger %s\n' "$(sed 's/ && $//' <<<"$(printf '%s && ' "${all[@]}")")"
}

# suite: the text of the suite, from the time with the number `first` on.
suite() {
    local index stage tries=($RETRY_SECONDS)
    printf '%s\n' "suite $SUITE" "  edit ECF_HOME '$HOME_OF_SUITE'" "  edit ECF_FILES '$HOME_OF_SUITE'" \
        "  edit ECF_TRIES '$((${#tries[@]} + 1))'" "  edit RETRY_SECONDS '$RETRY_SECONDS'" \
        "  edit GONE_ROUND '$gone_round'" "  edit ECF_JOB_CMD 'setsid %ECF_JOB% 1> %ECF_JOBOUT% 2>&1'" \
        "  edit ECF_KILL_CMD 'kill -TERM -- -%ECF_RID%'"
    for ((index = first; index < ${#all_times[@]}; index++)); do
        printf '  family %s\n' "${all_times[index]}"
        for stage in "${all_stages[@]}"; do
            printf '    task %s\n' "$stage"
            trigger_of "$stage" "$index"
            [[ $stage != "$gone_round" ]] || printf '      event gone_without\n'
        done
        printf '  endfamily\n'
    done
    printf 'endsuite\n'
}

count_finished
first=$number
if [[ ${2:-} == --text ]]; then suite; exit; fi

if [[ -z ${ECFLOW_CLIENT:-} ]]; then
    ECFLOW_CLIENT=$CHECKOUT/.venv/ecflow/bin/ecflow_client
    [[ -x $ECFLOW_CLIENT ]] || ECFLOW_CLIENT=ecflow_client
fi
ECFLOW_CLIENT=$(command -v "$ECFLOW_CLIENT") || die "no ecFlow at '$ECFLOW_CLIENT': run 'make ecflow' or set ECFLOW_CLIENT"
export ECF_HOST=${ECF_HOST:-localhost} ECF_PORT=${ECF_PORT:-3141}
ecflow() { "$ECFLOW_CLIENT" "$@"; }
ecflow --ping &>/dev/null ||
    die "no ecFlow server at $ECF_HOST, port $ECF_PORT: start ecflow_server there, or set ECF_HOST and ECF_PORT"
[[ $(ecflow --stats) == *RUNNING* ]] || die "the ecFlow server at $ECF_HOST is halted: ecflow_client --restart lets it run"

at_work() { ecflow --get_state="/$SUITE" 2>/dev/null | grep -cE 'state:(active|submitted)' || true; }
state() { ecflow --query state "/$SUITE" 2>/dev/null || true; }
[[ $(at_work) == 0 ]] || die "/$SUITE: jobs of this suite are at work on $ECF_HOST; wait for them, or ecflow_client --kill=/$SUITE"
only_one
rm -f "$FOLDER/log/cycle.out"
can_begin
say "$NAME: ${#all_times[@]} cycles, $number complete already"
((number < ${#all_times[@]})) || exit 0

# What jobs find as it is here: programs, packages, and what the experiment file asks the environment for.
environment() {
    local name
    printf 'export %s=%q\n' ECFLOW_CLIENT "$ECFLOW_CLIENT" CHECKOUT "$CHECKOUT" EXPERIMENT "$EXPERIMENT"
    for name in PATH PYTHON PYTHONPATH WORK RANKS MACHINE LETKF_SAMPLES \
        $(grep -oE '\$\{?[A-Za-z_][A-Za-z_0-9]*' "$EXPERIMENT" "$FOLDER/experiment.toml" -h | tr -d '${' | sort -u); do
        [[ -z ${!name+set} ]] || printf 'export %s=%q\n' "$name" "${!name}"
    done
}

# The status is told when nothing holds the lock any more, as by cycle.sh.
trap 'exec {LOCK}>&-; "$PYTHON" -m verify status "$EXPERIMENT" &>/dev/null || true' EXIT
trap 'ecflow --suspend="/$SUITE"; ecflow --kill="/$SUITE"; exit 143' TERM INT
mkdir -p "$HOME_OF_SUITE"
environment >"$HOME_OF_SUITE/environment"
for stage in "${all_stages[@]}"; do cp "$CHECKOUT/run/ecflow/stage.ecf" "$HOME_OF_SUITE/$stage.ecf"; done
suite >"$HOME_OF_SUITE/suite.def"
ecflow --delete=force yes "/$SUITE" &>/dev/null || true  # of an earlier run, at rest
ecflow --load="$HOME_OF_SUITE/suite.def"
ecflow --begin="$SUITE"

# A failed task is aborted for a second before its next try: what was tried as often as it may be is so for good, and
# what does nothing for half a minute, as where a job cannot be made.
read -ra pauses <<<"$RETRY_SECONDS"
tried_out() { ecflow --get_state="/$SUITE" 2>/dev/null | grep -qE "try:$((${#pauses[@]} + 1)) state:aborted"; }
rest=$SECONDS
until [[ $(state) == complete ]]; do
    sleep "${POLL_S:-2}"
    while ((number < ${#all_times[@]})) && finished "${all_times[number]}"; do
        number=$((number + 1))
        say "${all_times[number - 1]}  cycle $number of ${#all_times[@]}"
    done
    if [[ $(state) != aborted || $(at_work) != 0 ]]; then
        rest=$SECONDS
    elif tried_out || ((SECONDS > rest + 30)); then
        die "/$SUITE: a stage failed for good; its words stand in $HOME_OF_SUITE and in log/ of its time." \
            "The same command goes on"
    fi
    [[ -n $(state) ]] || die "/$SUITE: is no longer on the server; the same command goes on"
done
count_finished
say "$NAME: ${#all_times[@]} cycles, $number complete"
