#!/usr/bin/env bash
# The year of ensembles of latent 3D-Var: two months of year_first.toml, then year.toml from its members of 1 March on, or
# its control, the LETKF from the same members.
#
#     run/experiments/latent/year.sh [latent_year_letkf year_letkf.toml]
#
# The same command goes on after a kill.  Environment: PYTHON, WORK.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
: "${WORK:=$root/work}"
export WORK
first=$WORK/latent_3d_var_first year=$WORK/${1:-latent_3d_var_year} experiment=$here/${2:-year.toml} begin=1992030100

"$root/run/prepare.sh" "$here/year_first.toml"
"$root/run/cycle.sh" "$here/year_first.toml" --services
if [[ ! -e $year/$begin/background/spread.nc ]]; then
    mkdir -p "$year/$begin"
    cp "$first/static.nc" "$year/"
    rm -rf "$year/$begin/background.new"
    cp -r "$first/$begin/background" "$year/$begin/background.new"
    mv "$year/$begin/background.new" "$year/$begin/background"
fi
"$root/run/prepare.sh" "$experiment"
"$root/run/cycle.sh" "$experiment" --services
