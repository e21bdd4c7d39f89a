# Which members are kept how long ([retention]).  Sourced after programs.sh.
# shellcheck shell=bash

tidied=0  # so many times have been looked after

# tidy_up_to NUMBER: when that many cycles are finished, from the first on.
tidy_up_to() {
    [[ -n $KEEP_HOURS ]] || return 0
    while (($1 - 1 - tidied > KEEP_HOURS / STEP_HOURS)); do
        tidy "${all_times[tidied]}"
        tidied=$((tidied + 1))
    done
}

# The same of extended forecasts, whose members stay as long after the time that they are valid at.
tidy_forecasts_up_to() {
    [[ -n $KEEP_HOURS ]] || return 0
    local start
    for ((start = 0; start < $1; start++)); do
        [[ ! -d $FOLDER/${all_times[start]}/forecast ]] ||
            tidy_forecasts "${all_times[start]}" $((($1 - 1 - start) * STEP_HOURS - KEEP_HOURS - 1))
    done
}

# tidy TIME: remove the members of a finished cycle, which nothing reads any more, but not the first background, with
# which the free ensemble begins.
tidy() {
    local ensemble
    monthly "$1" && return
    for ensemble in "$FOLDER/$1"/{background,analysis}; do
        [[ -e $(statistic "$ensemble" mean) && $ensemble != "$FOLDER/${TIMES%% *}/background" ]] || continue
        let_go "$ensemble"
    done
}

# tidy_forecasts TIME HOURS: the members of the extended forecasts from TIME that were valid HOURS after it or earlier.
tidy_forecasts() {
    local ensemble lead
    monthly "$1" && return
    for ensemble in "$FOLDER/$1"/forecast/*h; do
        [[ -e $ensemble/m0001.nc || -e $ensemble/members.nc || -e $ensemble/.tidied ]] || continue  # the statistics alone
        lead=${ensemble##*/} lead=${lead%h}
        ((10#$lead > $2)) || let_go "$ensemble"
    done
}

monthly() { [[ -n $KEEP_MONTHLY && $1 == ??????0100 ]]; }

# let_go ENSEMBLE: the mark comes first, so that a kill between the two leaves members too many and none missing.
let_go() {
    local members=("$1"/m[0-9]*.nc)
    [[ -e $1/.tidied && ! -e ${members[0]} && ! -e $1/members.nc && ! -e $1/.restart ]] && return
    : >"$1/.tidied"
    rm -rf "$1"/m[0-9]*.nc "$1"/{members.nc,.restart,slots}
}
