# What the batch scripts share: a whole experiment in one job, which goes back into the queue when its time is nearly
# over.  Sourced, never run.
# shellcheck shell=bash
set -m  # what is started here has a process group of its own

# USR1 asks the job to end, from here on.
ASKED=0 RUNNING=''
trap 'ASKED=$((ASKED + 1)); end_running' USR1
end_running() { [[ -z $RUNNING ]] || kill -TERM -- "$RUNNING" 2>/dev/null || true; }

# whole_experiment EXPERIMENT [--prepare]: with its exit status.  Asked to end, the driver lets each service finish its
# step in hand; a preparation is broken off, and goes on from its last complete file.
whole_experiment() {
    if [[ ${2:-} == --prepare ]]; then
        run/prepare.sh "$1" &
        RUNNING=-$!
        end_of $! || return
    fi
    ((ASKED == 0)) || return 143
    run/cycle.sh "$1" --services &
    RUNNING=$!
    end_of $!
}

# end_of PROCESS: its exit status; a signal that comes meanwhile ends `wait`, not the process.  It may have come before
# RUNNING was known.
end_of() {
    local status heard=''
    ((ASKED == 0)) || end_running
    until [[ $heard == "$ASKED" ]]; do
        heard=$ASKED status=0
        wait "$1" || status=$?
    done
    return "$status"
}

# more_to_do STATUS: the experiment was asked to end, and did so before it was complete.
more_to_do() { ((ASKED && $1 == 143)); }
