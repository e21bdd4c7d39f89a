# What the cycles of this run cost: a row of log/cost.csv, for `python -m verify league`.  cycle.sh sources this.
# shellcheck shell=bash

PEAK_KIB=0

# note_memory PROCESS…: keep in PEAK_KIB the most that these and what they started have held, added up.
note_memory() {
    local kib=0 process
    for process in "$@"; do held_by "$process"; done
    PEAK_KIB=$((kib > PEAK_KIB ? kib : PEAK_KIB))
}

# held_by PROCESS: add the peak of a process and of its children to kib; one that is gone holds nothing.
held_by() {
    local words='' children='' child
    { read -rd '' words <"/proc/$1/status"; } 2>/dev/null || true
    if [[ $words =~ VmHWM:[[:space:]]*([0-9]+) ]]; then kib=$((kib + BASH_REMATCH[1])); fi
    { read -r children <"/proc/$1/task/$1/children"; } 2>/dev/null || true
    for child in $children; do held_by "$child"; done
}

# write_cost CYCLES: the processor time of this shell and of all that it has waited for, over so many cycles.  Where the
# disk refuses it is not written, which ends no run.
write_cost() {
    (($1)) || return 0
    local file=$FOLDER/log/cost.csv milliseconds=0 time seconds found=()
    mkdir -p "$FOLDER/log" && { times; } >"$FOLDER/log/.times" || return 0  # a subshell would have its own
    read -rd '' -a found <"$FOLDER/log/.times" || true
    for time in "${found[@]}"; do  # such as 1m2.345s
        time=${time%s}
        seconds=${time#*m}
        milliseconds=$((milliseconds + ${time%m*} * 60000 + 10#${seconds/./}))
    done
    rm -f "$FOLDER/log/.times"
    ((milliseconds)) || return 0
    [[ -e $file ]] || say "cycles,cpu_seconds,peak_mib" >"$file"
    printf '%d,%d.%03d,%d\n' "$1" $((milliseconds / 1000)) $((milliseconds % 1000)) $((PEAK_KIB / 1024)) >>"$file"
}
