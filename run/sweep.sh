#!/usr/bin/env bash
# Run a list of experiments and put their results side by side.
#
#     run/sweep.sh [-j N] [--free] [--no-table] EXPERIMENT.toml…
#
# Each is prepared, then cycled with services, N at a time (default 1); --free also runs their ensembles without analysis.
# One that fails stops none of the others.  The same command goes on after a kill; what is complete is passed over.
# It ends with `python -m verify compare`, but for --no-table.  The words of each run: sweep.log in the experiment's folder.
set -euo pipefail
# shellcheck source=run/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

at_once=1 table=yes free=() experiments=()
while (($#)); do
    case $1 in
        -h | --help) usage; exit 0 ;;
        -j) at_once=${2:-}; shift $(($# > 1)) ;;
        --free) free=(free) ;;
        --no-table) table='' ;;
        *) experiments+=("$1") ;;
    esac
    shift
done
[[ $at_once =~ ^[1-9][0-9]*$ && ${#experiments[@]} -gt 0 ]] || { usage; exit 2; }

# Several may begin with the same nature run, so they are prepared one after another.
declare -A LOG=() RUNNING=()  # by experiment file; by process id
ready=() failed=()
for experiment in "${experiments[@]}"; do
    settings=$("$PYTHON" -m contracts "$experiment") || { failed+=("$experiment"); continue; }
    eval "$settings"
    mkdir -p "$FOLDER"
    LOG[$experiment]=$FOLDER/sweep.log
    dated_line >>"$FOLDER/sweep.log"
    if "$CHECKOUT/run/prepare.sh" "$experiment" "${free[@]}" >>"$FOLDER/sweep.log" 2>&1 </dev/null; then
        ready+=("$experiment")
    else
        failed+=("$experiment")
        say "$experiment  could not be prepared: $(tail -n 1 "$FOLDER/sweep.log")"
    fi
done

# reap: wait until one run has ended, telling now and then how far the others are.
reap() {
    local pid experiment status=0
    while :; do
        for pid in "${!RUNNING[@]}"; do
            kill -0 "$pid" 2>/dev/null || break 2
        done
        sleep 1
        if ((SECONDS - told >= 60)); then
            told=$SECONDS
            for experiment in "${RUNNING[@]}"; do say "$experiment  $(tail -n 1 "${LOG[$experiment]}")"; done
        fi
    done
    experiment=${RUNNING[$pid]}
    unset "RUNNING[$pid]"
    wait "$pid" || status=$?
    if ((status)); then
        failed+=("$experiment")
        say "$experiment  failed with status $status: $(tail -n 1 "${LOG[$experiment]}")"
    else
        say "$experiment  complete"
    fi
}

told=$SECONDS
for experiment in "${ready[@]}"; do
    ((${#RUNNING[@]} < at_once)) || reap
    "${ON_DEATH_OF_PARENT[@]}" "$CHECKOUT/run/cycle.sh" "$experiment" --services >>"${LOG[$experiment]}" 2>&1 </dev/null &
    RUNNING[$!]=$experiment
    say "$experiment  started; its words: ${LOG[$experiment]}"
done
while ((${#RUNNING[@]})); do reap; done

say ""
readable=()
for experiment in "${experiments[@]}"; do
    if [[ -n ${LOG[$experiment]:-} ]]; then readable+=("$experiment"); fi
done
[[ -z $table || ${#readable[@]} -eq 0 ]] || "$PYTHON" -m verify compare "${readable[@]}" || failed+=("the table of them")
((${#failed[@]} == 0)) || die "failed: ${failed[*]}; the same command tries again"
