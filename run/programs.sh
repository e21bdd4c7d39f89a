# The stages of a cycle: how the program of each is started, and how it is known to be done.  Sourced after lib.sh.
# shellcheck shell=bash

read -ra all_stages <<<"$STAGES"

# command_of STAGE: the words that start its program, in COMMAND; a time follows, or --follow.
command_of() {
    local name=${1^^} words
    read -ra words <<<"${!name}"
    case $1 in
        analysis) COMMAND=("${LAUNCH_ANALYSIS[@]}") ;;
        forecast) COMMAND=("${LAUNCH_FORECAST[@]}") ;;
        *) COMMAND=() ;;
    esac
    COMMAND+=("$PYTHON" -m "${words[@]}" "$EXPERIMENT")
}

# at_time STAGE TIME [OPTION…]: its program for one time.
at_time() {
    command_of "$1"
    # A departures file says that the analysis is complete; where members are missing it is not.
    [[ $1 != analysis ]] || rm -f "$FOLDER/$2/departures.nc"
    "${COMMAND[@]}" "${@:2}"
}

# By time the next one, of the experiment's last time the one after its end.
declare -A NEXT=()
read -ra all_times <<<"$TIMES"
for ((i = 0; i + 1 < ${#all_times[@]}; i++)); do NEXT[${all_times[i]}]=${all_times[i + 1]}; done
NEXT[${all_times[-1]}]=$(add_hours "${all_times[-1]}" "$STEP_HOURS")

has_observations() { [[ -e $FOLDER/$1/observations.nc ]]; }
has_analysis() { [[ -e $FOLDER/$1/departures.nc ]] && ensemble_complete "$FOLDER/$1/analysis"; }
has_forecast() { ensemble_complete "$FOLDER/${NEXT[$1]}/background"; }
has_verify() { [[ -e $FOLDER/$1/scores.nc ]]; }
finished() { has_verify "$1" && has_observations "$1" && has_analysis "$1" && has_forecast "$1"; }

# count_finished: how many cycles are finished, from the first on, in `number`.
count_finished() {
    number=0
    while ((number < ${#all_times[@]})) && finished "${all_times[number]}"; do number=$((number + 1)); done
}

# can_begin: refuse without the first ensemble, while the first cycle still reads it.
can_begin() {
    local first=${all_times[0]}
    has_analysis "$first" && has_verify "$first" || ensemble_complete "$FOLDER/$first/background" ||
        die "$FOLDER/$first/background: no complete ensemble of $MEMBERS members to begin with;" \
            "run: run/prepare.sh $EXPERIMENT"
}

# stage NAME TIME: run one step unless its product is there.
stage() { "has_$1" "$2" || step "$1" "$2" at_time "$1" "$2"; }
