# One process per step: cycle.sh sources this for the cycles of an experiment.
# shellcheck shell=bash

observations() { "$PYTHON" -m obsproc "$EXPERIMENT" "$1"; }
# A departures file says that the analysis is complete; where members are missing it is not.
analysis() {
    rm -f "$FOLDER/$1/departures.nc"
    "${LAUNCH_ANALYSIS[@]}" "$PYTHON" -m "$ANALYSIS" "$EXPERIMENT" "$1"
}
forecast() { "${LAUNCH_FORECAST[@]}" "$PYTHON" -m model_server forecast "$EXPERIMENT" "$1"; }
verify() { "$PYTHON" -m verify scores "$EXPERIMENT" "$1"; }

# stage NAME TIME: run one step unless its product is there; a step that leaves no product has failed.
stage() {
    if "has_$1" "$2"; then return; fi
    step "$1" "$2" "$1" "$2"
    "has_$1" "$2" || die "$2: step $1 ended without an error but left its product incomplete in $FOLDER/$2"
}

for time in "${all_times[@]}"; do
    number=$((number + 1)) before=$SECONDS
    if finished "$time"; then
        say "$time  complete already"
        tidy_up_to "$number"
        continue
    fi
    stage observations "$time"
    stage analysis "$time"
    stage forecast "$time"
    stage verify "$time"
    cycle_done $((SECONDS - before))
done
