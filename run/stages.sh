# One process per step: cycle.sh sources this for the cycles of an experiment.
# shellcheck shell=bash

for time in "${all_times[@]}"; do
    number=$((number + 1)) before=$SECONDS
    if finished "$time"; then
        say "$time  complete already"
        tidy_up_to "$number"
        continue
    fi
    room_for "$time"
    for name in "${all_stages[@]}"; do stage "$name" "$time"; done
    cycle_done $((SECONDS - before))
done
