#!/usr/bin/env bash
# A twin experiment from nothing to its table of scores: truth, first and free ensemble, all cycles, pictures.
#
#     run/demo.sh [EXPERIMENT.toml]          default: run/experiments/twin_climax.toml
#
# The default forecasts with ClimaX; its weights and its truth come with the code. Where LETKF_SAMPLES has real files
# (prepbufr/), three cycles with them follow.  run/experiments/twin_speedy.toml makes
# its own truth and forecasts with SPEEDY, which needs the extra [nwp].
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    exit 0
fi
experiment=${1:-$here/experiments/twin_climax.toml}
samples=${LETKF_SAMPLES:-$here/../../shared/data}/prepbufr

"$here/prepare.sh" "$experiment" free
"$here/cycle.sh" "$experiment" --services

if [[ $# == 0 && -d $samples ]]; then
    printf '\nReal observations of 1989-01-01, from %s\n\n' "$samples"
    "$here/prepare.sh" "$here/experiments/prepbufr_1989_climax.toml"
    "$here/cycle.sh" "$here/experiments/prepbufr_1989_climax.toml" --services
fi
