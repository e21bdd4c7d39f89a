# What the scripts of the corridor share: environment, one date function, the runner of a step.
# Sourced, never run.  Needs bash >= 5, coreutils and util-linux (flock; setpriv for --services).
# shellcheck shell=bash

CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# The interpreter decides everything else: the MPI launcher of the environment stands beside it.
if [[ -z ${PYTHON:-} ]]; then
    PYTHON=$CHECKOUT/.venv/bin/python
    [[ -x $PYTHON ]] || PYTHON=python3
fi
PYTHON=$(command -v "$PYTHON") || { echo "no Python at '$PYTHON': run 'make setup' or set PYTHON" >&2; exit 1; }
export PYTHON PYTHONUNBUFFERED=1
# Installed from a wheel the programs are where the interpreter finds them, and this folder lies in no repository of its own.
[[ ! -d $CHECKOUT/contracts ]] || export PYTHONPATH=$CHECKOUT${PYTHONPATH:+:$PYTHONPATH}

# One thread for each MPI process; sums that do not depend on the number of cores.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
export LC_ALL=C TZ=UTC

# Where experiment files find sample observations, as the tests do.
export LETKF_SAMPLES=${LETKF_SAMPLES:-$(dirname "$CHECKOUT")/shared/data}

say() { printf '%s\n' "$*"; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# add_hours 2016010118 6 -> 2016010200
add_hours() { date -u -d "${1:0:8} ${1:8:2}:00 UTC + $2 hours" +%Y%m%d%H; }

# Microseconds; the difference of two is a duration.
clock() { printf '%s' "${EPOCHREALTIME/[.,]/}"; }
seconds_since() { local us=$(( $(clock) - $1 )); printf '%d.%d' $((us / 1000000)) $((us % 1000000 / 100000)); }
# The line above the words of a run in a file that keeps those of earlier runs too.
dated_line() { printf '# begun %(%Y-%m-%dT%H:%M:%SZ)T\n' -1; }
duration() { printf '%d min %02d s' $(($1 / 60)) $(($1 % 60)); }

# The code's version: the commit, "-dirty" where files were changed since, or unknown without git.
code_version() {
    { [[ -e $CHECKOUT/.git ]] && git -C "$CHECKOUT" describe --always --dirty --abbrev=12 2>/dev/null; } ||
        printf 'commit unknown'
}

# load_experiment FILE: check and freeze it; set what `python -m contracts FILE` prints, EXPERIMENT, WORK and, by the
# machine's file, LAUNCH_ANALYSIS and LAUNCH_FORECAST, the words before the programs of these stages.
load_experiment() {
    EXPERIMENT=$1
    local settings
    settings=$("$PYTHON" -m contracts "$EXPERIMENT" --freeze "$(code_version)") || exit 1
    eval "$settings"
    mkdir -p "$FOLDER"
    WORK=$(cd "$FOLDER/.." && pwd)  # patterns in the experiment file may say $WORK
    export WORK LETKF_RANKS=$RANKS  # a process that finds itself alone compares
    # shellcheck disable=SC2153  # MACHINE is set by eval
    local machine=$CHECKOUT/run/machines/$MACHINE.sh
    [[ $MACHINE == */* ]] && machine=$MACHINE
    [[ -f $machine ]] || die "no machine file $machine: expected one of $(cd "$CHECKOUT/run/machines" && echo *.sh)"
    unset -f launch  # of an experiment that was loaded before: its machine may be another
    # shellcheck source=/dev/null
    source "$machine"
    declare -F launch >/dev/null || die "$machine: defines no function launch; run/README.md says what it is asked for"
    launch analysis "$ANALYSIS_RANKS" "$ANALYSIS_THREADS"
    LAUNCH_ANALYSIS=("${LAUNCH[@]}")
    launch forecast "$FORECAST_RANKS" "$FORECAST_THREADS"
    LAUNCH_FORECAST=("${LAUNCH[@]}")
}

# only_one: refuse while another process works on the same experiment.  The lock belongs to the open file, which the
# steps inherit: it is free only when all that was started is gone, also after a kill.
only_one() {
    exec {LOCK}>"$FOLDER/.lock"
    local status=0
    flock -w "${LOCK_WAIT:-10}" -E 99 "$LOCK" || status=$?
    ((status != 99)) || die "$FOLDER: another run of this experiment is at work; wait for it or stop it"
    ((status == 0)) || die "$FOLDER/.lock: cannot be locked (status $status); put WORK on a file system with locks"
}

# The words before a program that must not outlive the shell that started it: the kernel sends it SIGTERM then.  Where
# the shell died before the kernel knew, the program is not begun.
ON_DEATH_OF_PARENT=()
if command -v setpriv >/dev/null; then
    # shellcheck disable=SC2016  # the words are for the inner shell
    ON_DEATH_OF_PARENT=(setpriv --pdeathsig TERM bash -c '(($1 == PPID)) && shift && exec "$@"' - "$$")
fi

# last_words SENTENCE…: leave them where the status finds them, as it finds those of a stage.
last_words() {
    { mkdir -p "$FOLDER/log"
      printf '%(%Y-%m-%dT%H:%M:%S)TZ %s ERROR %s\n' -1 "$(basename "$0")" "$*" >"$FOLDER/log/cycle.out"; } 2>/dev/null || true
}

stall() { last_words "$*$(where_full)"; die "$*$(where_full)"; }

# where_full: what to add to a sentence where that may be the reason, and what a program said of it was not kept.
where_full() {
    local free
    free=$(free_kib) || return 0
    ((free >= 1024)) || printf '; its disk is full: make room, then the same command goes on'
}

free_kib() { df --output=avail -k "$FOLDER" | tail -n 1; }

# words_of FILE: where all words of a program are.  It may have filled the disk, lost its words so, and have made
# room again by taking its unfinished files away.
words_of() {
    local full
    full=$(where_full)
    if [[ -s $1 ]]; then
        printf 'all of its words: %s%s' "$1" "$full"
    elif [[ -n $full ]]; then
        printf 'it left no words%s' "$full"
    else
        printf 'it left no words, as when it is killed or the disk is full (%s free now); the same command goes on' \
            "$(df --output=avail -h "$FOLDER" | tail -n 1 | tr -d ' ')"
    fi
}

# memory_kills: how many processes of this control group the kernel has killed so far for want of memory, by version 2 of
# the groups or version 1; of this computer where no group says so.
memory_kills() {
    local controllers place name count root=/sys/fs/cgroup files=()
    while IFS=: read -r _ controllers place; do
        case ,$controllers, in
            ,,) files+=("$root$place/memory.events" "$root/memory.events") ;;
            *,memory,*) files+=("$root/memory$place/memory.oom_control" "$root/memory/memory.oom_control") ;;
        esac
    done 2>/dev/null </proc/self/cgroup
    for place in "${files[@]}" /proc/vmstat; do
        [[ -r $place ]] || continue
        while read -r name count; do
            [[ $name == oom_kill ]] && { echo "$count"; return; }
        done <"$place"
    done
    echo 0
}

# for_memory BEFORE: what to add to a sentence where the kernel has killed more than the BEFORE of then.
for_memory() {
    local kills=$(($(memory_kills) - $1))
    ((kills <= 0)) || printf ', and the kernel killed %d %s meanwhile for want of memory: %s' "$kills" \
        "$( ((kills == 1)) && echo process || echo processes)" \
        "give the job more, or let it take less (fewer RANKS, a smaller [model] batch)"
}

# room_for TIME: end before a cycle for which the disk has no room.
room_for() {
    local free
    ((CYCLE_KIB)) && free=$(free_kib) || return 0
    ((free >= CYCLE_KIB)) || stall "$FOLDER: the cycle of $1 needs about $((CYCLE_KIB / 1024 + 1)) MiB and the disk has" \
        "$((free / 1024)) free; make room, then the same command goes on"
}

# statistic FOLDER NAME: the file of the mean or the spread of an ensemble, by its name of one version ago where that is
# there.
statistic() {
    if [[ -e $1/$2.nc && ! -e $1/ens$2.nc ]]; then echo "$1/$2.nc"; else echo "$1/ens$2.nc"; fi
}

# ensemble_complete FOLDER: mean and spread, and all members, in one file or many, unless they are no longer kept.
ensemble_complete() {
    local number name
    [[ -e $(statistic "$1" mean) && -e $(statistic "$1" spread) ]] || return 1
    [[ -e $1/.tidied || -e $1/members.nc ]] && return
    for ((number = 1; number <= MEMBERS; number++)); do
        printf -v name 'm%04d.nc' "$number"
        [[ -e $1/$name ]] || return 1
    done
}

# step STAGE TIME COMMAND…: run the command, say how long it took.  What it writes to the terminal is shown and kept
# only if it fails, or leaves no product: each program keeps its own log/STAGE.log.
step() {
    local stage=$1 time=$2 status=0 began output how kills
    shift 2
    output=$FOLDER/$time/log/$stage.out
    mkdir -p "${output%/*}"
    kills=$(memory_kills)
    began=$(clock)
    "$@" >"$output" 2>&1 </dev/null || status=$?
    how="failed after $(seconds_since "$began") s with status $status$(for_memory "$kills")"
    ((status)) || "has_$stage" "$time" ||
        { status=1 how="ended without an error but left its product incomplete in $FOLDER/$time"; }
    if ((status)); then
        say "$time  $stage  $how"
        how="$time: step $stage $how; $(words_of "$output")"
        { tail -n 20 "$output"; say "$(basename "$0"): $how"; } >&2
        last_words "$how"
        return "$status"
    fi
    rm -f "$output"
    printf '%s  %-12s %7s s\n' "$time" "$stage" "$(seconds_since "$began")"
}
