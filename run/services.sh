# The programs as services: started once, they wait for one another's files (`--follow`) through all times of the
# experiment.  cycle.sh sources this: it starts them, tells of finished cycles, starts again what died.
#
# Nothing survives the driver: a service whose parent is gone is told so by the kernel (SIGTERM), finishes the step in
# hand and ends; the lock that it holds keeps a second run away until then.
# shellcheck shell=bash

STOP_SECONDS=60  # for the step in hand; then a service is killed, which costs no more than that step
declare -A SERVICE=() DEATHS=() DUE=()  # by name: process id, deaths within this cycle, when it is started again
KILLS=$(memory_kills)  # that have been told
exec {NEVER}<> <(:)  # nothing is ever written there: reading with a time-out sleeps without starting a process

start_service() {
    [[ $1 != analysis ]] || remove_incomplete
    command_of "$1"
    # Nobody waits for scores, and observations are made ahead: cores that the next analysis waits for go first.
    case $1 in observations | verify) COMMAND=(nice -n 5 "${COMMAND[@]}") ;; esac
    "${ON_DEATH_OF_PARENT[@]}" "${COMMAND[@]}" --follow >>"$FOLDER/log/$1.out" 2>&1 </dev/null &
    SERVICE[$1]=$!
}

# buried NAME: whether the service has ended; its exit status is then in STATUS.
buried() {
    kill -0 "${SERVICE[$1]}" 2>/dev/null && return 1
    STATUS=0
    wait "${SERVICE[$1]}" || STATUS=$?
    unset "SERVICE[$1]"
}

# revive: start again what died, after a second, after its next death two, four, … up to a minute.  A service that ends
# with status 0 has reached the last time or was asked to; it is needed again where its product was removed since.
revive() {
    local name how words wait time=${all_times[number]}
    for name in "${all_stages[@]}"; do
        if [[ -n ${SERVICE[$name]:-} ]]; then
            if ! buried "$name" || ((STATUS == 0)); then continue; fi
            how="ended with status $STATUS$(for_memory "$KILLS")" words="its words"
            KILLS=$(memory_kills)
        else
            if [[ -n ${DUE[$name]:-} || -e $STOP ]] || "has_$name" "$time"; then continue; fi
            how="has ended without an error and its product of $time is not there" words="see"
        fi
        DEATHS[$name]=$((${DEATHS[$name]:-0} + 1))
        if ((DEATHS[$name] > RESTARTS)); then
            tail -n 20 "$FOLDER/log/$name.out" >&2
            stall "service $name $how, ${DEATHS[$name]} times within a cycle; $words: $FOLDER/log/$name.out"
        fi
        wait=$((DEATHS[$name] > 6 ? 60 : 1 << (DEATHS[$name] - 1)))
        say "service $name $how; started again in $wait s, ${DEATHS[$name]} of at most $RESTARTS times"
        DUE[$name]=$((SECONDS + wait))
    done
    for name in "${!DUE[@]}"; do
        ((SECONDS >= DUE[$name])) || continue
        unset "DUE[$name]"
        start_service "$name"
    done
}

# end_services: ask by the stop file, wait for the step in hand, then insist; only what was started here.
end_services() {
    trap '' INT TERM HUP
    : >"$STOP"
    local name limit=$((SECONDS + STOP_SECONDS))
    while ((${#SERVICE[@]})); do
        for name in "${!SERVICE[@]}"; do
            ((SECONDS < limit)) || kill -KILL "${SERVICE[$name]}" 2>/dev/null || true
            buried "$name" || true
        done
        pause
    done
    rm -f "$STOP"
}

pause() { read -rt 0.1 -u "$NEVER" || true; }

# milliseconds FILE…: when each was written, with the start of the services as the earliest, in WRITTEN.
milliseconds() {
    local time
    WRITTEN=()
    for time in $(stat -c %.3Y "$@"); do
        time=${time/./}
        WRITTEN+=($((time > began ? time : began)))
    done
}

# by_stage TIME: seconds that each stage took, from the times at which its products appeared.
by_stage() {
    local here=$FOLDER/$1 next=$FOLDER/${NEXT[$1]} before=$FOLDER/${all_times[number > 1 ? number - 2 : 0]}
    milliseconds "$before/observations.nc" "$here/observations.nc" "$(statistic "$here/background" mean)" \
        "$(statistic "$here/background" spread)" "$here/departures.nc" "$(statistic "$next/background" mean)" \
        "$(statistic "$next/background" spread)" "$here/scores.nc"
    ((number > 1)) || WRITTEN[0]=$began  # the first observations stand on none before them
    local ready=${WRITTEN[1]} forecast=${WRITTEN[5]} time
    for time in "${WRITTEN[@]:2:2}"; do ready=$((time > ready ? time : ready)); done
    forecast=$((WRITTEN[6] > forecast ? WRITTEN[6] : forecast))
    printf ': observations %s, analysis %s, forecast %s, verify %s' "$(in_seconds $((WRITTEN[1] - WRITTEN[0])))" \
        "$(in_seconds $((WRITTEN[4] - ready)))" "$(in_seconds $((forecast - WRITTEN[4])))" \
        "$(in_seconds $((WRITTEN[7] - WRITTEN[4])))"
}

# in_seconds MILLISECONDS: none where a product is older than what it is made from, which a redone step does not touch.
in_seconds() { (($1 > 0)) || set -- 0; printf "%d.%02d" $(($1 / 1000)) $(($1 % 1000 / 10)); }

skip_finished() {
    count_finished
    tidy_up_to "$number"
    ((number == 0)) || say "$number cycles complete already"
}

# A departures file says that the analysis is complete; where members are missing it is not.
remove_incomplete() {
    local time
    for time in "${all_times[@]:number}"; do
        [[ ! -e $FOLDER/$time/departures.nc ]] || has_analysis "$time" || rm -f "$FOLDER/$time/departures.nc"
    done
}

skip_finished
if ((number < total)); then
    room_for "${all_times[number]}"
    mkdir -p "$FOLDER/log"
    began=$(($(clock) / 1000)) last=$(($(clock) / 1000))
    asked=0  # a signal only leaves its status here: what is done about it is not done in the middle of something else
    trap 'asked=130' INT
    trap 'asked=143' TERM HUP
    for service in "${all_stages[@]}"; do
        dated_line >>"$FOLDER/log/$service.out"
        start_service "$service"
    done
    while ((number < total)); do
        if finished "${all_times[number]}"; then
            number=$((number + 1)) now=$(($(clock) / 1000))
            note_memory "${SERVICE[@]}"
            cycle_done "$(in_seconds $((now - last)))" "$(by_stage "${all_times[number - 1]}")"
            last=$now DEATHS=()
            ((number == total)) || finished "${all_times[number]}" || room_for "${all_times[number]}"
            continue
        fi
        ((asked == 0)) || { say "stopped by a signal; the same command goes on"; exit "$asked"; }
        ((number)) || can_begin
        revive
        if ((${#SERVICE[@]} + ${#DUE[@]} == 0)) && [[ -e $STOP ]]; then
            say "stopped by $STOP; the same command goes on"
            exit 130
        fi
        pause
    done
    end_services
    trap - INT TERM HUP
fi
