#!/usr/bin/env bash
# Run the contestants of a league and put them side by side: one table, and one page.
#
#     run/league.sh [--cores N] LEAGUE.toml [EXPERIMENT.toml…]    run or resume all, then league.html
#     run/league.sh --forecasts LEAGUE.toml [EXPERIMENT.toml…]    only forecasts from analyses that are there, then these
#     run/league.sh --page  LEAGUE.toml [EXPERIMENT.toml…]        only the table and the page, of what there is
#     run/league.sh --check LEAGUE.toml [EXPERIMENT.toml…]        only whether all have the same task and valid settings
#
#     run/league.sh --cores 8 run/leagues/january_february_1992.toml my_method.toml
#
# Each contestant is prepared, then cycled with services on one rank, N at a time (default: the processors there are); one
# that fails stops none of the others.  How many run at once changes no bit of any.  The same command goes on after a kill.
# Where the league file has [league.forecasts] one model then carries the means of all analyses some days ahead; what is there
# stays.  Experiments behind the league file take part as if they stood in it.
set -euo pipefail
# shellcheck source=run/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

cores=$(nproc) what=run files=()
while (($#)); do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --cores) cores=${2:-}; shift $(($# > 1)) ;;
        --forecasts) what=forecasts ;;
        --page) what=page ;;
        --check) what=check ;;
        *) files+=("$1") ;;
    esac
    shift
done
[[ $cores =~ ^[1-9][0-9]*$ && ${#files[@]} -gt 0 ]] || { usage; exit 2; }

listed=$("$PYTHON" -m verify league "${files[@]}" --list)
mapfile -t experiments <<<"$listed"
status=0

# forecasts: of the model and from the times that the league file names, from all analyses that are there.
forecasts() {
    local told words
    told=$("$PYTHON" -m verify league "${files[@]}" --forecasts) || return 1
    [[ -n $told ]] || return 0
    mapfile -t words <<<"$told"
    "$PYTHON" -m model_server deterministic "${words[@]}"
}

case $what in
    check)
        for experiment in "${experiments[@]}"; do
            "$PYTHON" -m contracts "$experiment" --validate || status=1
        done
        ((status == 0)) || die "not all settings are valid; the sentences above say what to change"
        "$PYTHON" -m verify league "${files[@]}" --check ;;
    run)
        RANKS=1 "$CHECKOUT/run/sweep.sh" --no-table -j "$cores" "${experiments[@]}" || status=$?
        forecasts || status=1
        "$PYTHON" -m verify league "${files[@]}" ;;
    forecasts)
        forecasts || status=1
        "$PYTHON" -m verify league "${files[@]}" ;;
    page) "$PYTHON" -m verify league "${files[@]}" ;;
esac
exit "$status"
