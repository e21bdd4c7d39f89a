#!/usr/bin/env bash
# Cycle an experiment by Cylc 8: retries, time limits, a way round failed observations (run/cylc/flow.cylc).
#
#     run/cylc.sh EXPERIMENT.toml [OPTION OF cylc play…]
#
# It begins at the first time that is not finished, so that after any failure the same command goes on, and ends with
# the same bits as cycle.sh.  It stays until all is done; exit status 1 where the workflow had to stop.
#
# Environment: PYTHON, RANKS, MACHINE, WORK as for cycle.sh; CYLC, the program (default: .venv/cylc/bin/cylc, which
# `make cylc` installs, else cylc); CYLC_CONF_PATH (default: run/cylc); RETRIES (default: PT10S, PT1M, PT5M).
set -euo pipefail
# shellcheck source=run/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [[ $# -lt 1 || $1 == -h || $1 == --help ]]; then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    [[ ${1:-} == -h || ${1:-} == --help ]] && exit 0 || exit 2
fi
if [[ -z ${CYLC:-} ]]; then
    CYLC=$CHECKOUT/.venv/cylc/bin/cylc
    [[ -x $CYLC ]] || CYLC=cylc
fi
CYLC=$(command -v "$CYLC") || die "no Cylc at '$CYLC': run 'make cylc' or set CYLC"
CYLC_FOLDER=$(dirname "$CYLC")
export CYLC_FOLDER CYLC_CONF_PATH=${CYLC_CONF_PATH:-$CHECKOUT/run/cylc} PATH=$PATH:$CYLC_FOLDER

load_experiment "$(realpath "$1")"
only_one
rm -f "$FOLDER/log/cycle.out"
# shellcheck source=run/programs.sh
source "$CHECKOUT/run/programs.sh"
can_begin
count_finished
say "$NAME: ${#all_times[@]} cycles, $number complete already"
((number < ${#all_times[@]})) || exit 0

point() { printf '%sT%sZ' "${1:0:8}" "${1:8:2}"; }
quoted() { printf "%s='%s'" "$1" "$2"; }

# The status is told when nothing holds the lock any more, as by cycle.sh.
trap 'exec {LOCK}>&-; "$PYTHON" -m verify status "$EXPERIMENT" &>/dev/null || true' EXIT
workflow=letkf/$NAME/$(date -u +%Y%m%dT%H%M%SZ)
mkdir -p "$HOME/cylc-run/$workflow"
cp -r "$CHECKOUT"/run/cylc/{flow.cylc,lib} "$HOME/cylc-run/$workflow"  # as `cylc install` does, which needs rsync
"${ON_DEATH_OF_PARENT[@]}" "$CYLC" play "$workflow" --no-detach \
    --initial-cycle-point="$(point "${all_times[number]}")" --final-cycle-point="$(point "${all_times[-1]}")" \
    --set="$(quoted EXPERIMENT "$EXPERIMENT")" --set="$(quoted CHECKOUT "$CHECKOUT")" --set="$(quoted MODE "$MODE")" \
    --set="$(quoted PYTHON "$PYTHON")" --set="$(quoted WORK "$WORK")" --set="$(quoted RANKS "$RANKS")" \
    --set="$(quoted MACHINE "$MACHINE")" --set="STEP_HOURS=$STEP_HOURS" --set="$(quoted STAGES "$STAGES")" \
    --set="$(quoted NEEDS "$NEEDS")" --set="$(quoted NEEDS_BEFORE "$NEEDS_BEFORE")" \
    --set="$(quoted RETRIES "${RETRIES:-PT10S, PT1M, PT5M}")" "${@:2}" </dev/null
