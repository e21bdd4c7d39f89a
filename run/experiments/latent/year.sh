#!/usr/bin/env bash
# The year of ensembles of latent 3D-Var: two months of year_first.toml, then year.toml from its members of 1 March on, then
# year_july.toml from those of 1 July on.
#
#     run/experiments/latent/year.sh
#     run/experiments/latent/year.sh letkf          the control: year_letkf.toml, the LETKF from 1 March on
#
# The same command goes on after a kill.  Environment: PYTHON, WORK.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
: "${WORK:=$root/work}"
export WORK

# cycled FILE: an experiment to its end.
cycled() {
    "$root/run/prepare.sh" "$here/$1"
    "$root/run/cycle.sh" "$here/$1" --services
}

# begun FROM NAME TIME: the experiment NAME begins with the members that FROM had at TIME.
begun() {
    local from=$WORK/$1 to=$WORK/$2 time=$3
    [[ -e $to/$time/background ]] && return
    mkdir -p "$to/$time"
    cp "$from/static.nc" "$to/"
    rm -rf "$to/$time/background.new"
    cp -r "$from/$time/background" "$to/$time/background.new"
    mv "$to/$time/background.new" "$to/$time/background"
}

cycled year_first.toml
if [[ ${1:-} == letkf ]]; then
    begun latent_3d_var_first latent_year_letkf 1992030100
    cycled year_letkf.toml
    exit
fi
begun latent_3d_var_first latent_3d_var_year 1992030100
cycled year.toml
begun latent_3d_var_year latent_3d_var_july 1992070100
cycled year_july.toml
