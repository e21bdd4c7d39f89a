"""A method from an installed package, through the real program: two times, an earlier analysis, a field, a number."""

import shutil
from datetime import timedelta

import numpy as np
import pytest

from contracts import numbers, observations, state, times
from contracts.observations import Source
from contracts.paths import EnsembleFolder
from contracts.variables import Flag
from obsoperator import Forward
from tests import builders
from tests.builders import TIME
from tests.letkf_mpi.case import add_inputs, contents, table
from tests.neural_da import case

PACKAGE = case.CHECKOUT / "tests/neural_da/example_package"
LATER, BACK = TIME + timedelta(hours=6), timedelta(hours=-3)
NEURAL = """
[slots]
every_hours = 3
window_hours = [-3, 0]
[neural]
method = "nudging"
strength = 0.25
"""


def member(made, ensemble: EnsembleFolder, time, number: int = 1) -> np.ndarray:
    return state.read(ensemble.member(number), made.space, time).data


def run(made, time, *arguments: str) -> None:
    done = case.program(made.toml, times.name(time), *arguments, path=PACKAGE)
    assert done.returncode == 0, done.stderr


def make(tmp_path):
    """Two times, the later one with its background three hours before too."""
    made = case.make(tmp_path, NEURAL)
    add_inputs(made, LATER, seed=20)
    slot = made.settings.experiment.folder.at(LATER).background.slot(BACK)
    for number in range(1, 5):
        state.write(slot.member(number), builders.random_state(made.space, 40 + number, LATER + BACK), number)
    seconds = np.where(np.arange(60) % 2, times.to_seconds(LATER), times.to_seconds(LATER + BACK) - 600)
    path = made.settings.experiment.folder.at(LATER).observations
    observations.write(path, table(60).with_columns(time=seconds), Source(LATER, (LATER, LATER)))
    run(made, TIME)
    return made, made.settings.experiment.folder


def test_it_is_given_both_times_the_earlier_analysis_and_its_number_and_leaves_its_field(tmp_path):
    made, folder = make(tmp_path)
    first, later = folder.at(TIME), folder.at(LATER)
    assert numbers.read(first.field("carried"), ["times"], TIME) == {"times": 1.0}
    assert np.array_equal(member(made, first.analysis, TIME), member(made, first.background, TIME))  # nothing earlier
    run(made, LATER)
    background, slot, before = (member(made, of, time) for of, time in (
        (later.background, LATER), (later.background.slot(BACK), LATER + BACK), (first.analysis, TIME)))
    expected = background + 0.25 * (before - background) + 0.5 * (background - slot)
    humid = made.space.index("specific_humidity")
    expected[humid] = np.maximum(expected[humid], 0)
    assert np.allclose(member(made, later.analysis, LATER), expected, rtol=1e-6, atol=1e-6)
    assert numbers.read(later.field("carried"), ["times"], LATER) == {"times": 2.0}
    spread = np.std([member(made, later.background, LATER, number) for number in range(1, 5)], axis=0, ddof=1)
    found = state.read(later.field("uncertainty"), made.space, LATER).data
    assert np.allclose(found, spread, rtol=1e-5)


def test_a_kill_before_the_last_file_or_members_in_parts_change_no_bit(tmp_path):
    made, folder = make(tmp_path)
    later = folder.at(LATER)
    run(made, LATER)
    whole = contents(later)
    later.departures.unlink()
    run(made, LATER)
    assert contents(later) == whole
    for path in (later.departures, later.field("carried"), later.field("uncertainty")):
        path.unlink()
    shutil.rmtree(later.analysis.folder)
    run(made, LATER, "--members", "2:3")
    run(made, LATER, "--rest")
    assert contents(later) == whole


def test_what_it_needs_and_is_not_there_is_named(tmp_path):
    made, folder = make(tmp_path)
    carried = folder.at(TIME).field("carried")
    carried.rename(carried.with_suffix(".away"))
    refused = case.program(made.toml, times.name(LATER), path=PACKAGE)
    assert refused.returncode == 1 and "carried.nc: no such file" in refused.stderr
    made.toml.write_text(made.toml.read_text().replace('mode = "research"', 'mode = "realtime"'))
    run(made, LATER)
    assert numbers.read(folder.at(LATER).field("carried"), ["times"], LATER) == {"times": 1.0}


def test_each_observation_is_compared_with_the_background_of_the_nearer_time(tmp_path):
    made, folder = make(tmp_path)
    run(made, LATER)
    found, _ = observations.read_departures(folder.at(LATER).departures)
    H = Forward.of(found, made.space, builders.flat_static(made.space.grid), 300.0)
    ensembles = folder.at(LATER).background.slot(BACK), folder.at(LATER).background
    early = found.time < times.to_seconds(LATER + BACK / 2)
    for rows, of, time in zip((early, ~early), ensembles, (LATER + BACK, LATER), strict=True):
        X = np.stack([member(made, of, time, number) for number in range(1, 5)]).reshape(4, *made.space.shape[:1], -1)
        assert np.allclose(found.background_mean[rows], H.apply(X).mean(axis=0)[rows], equal_nan=True)
    used = (found.flag == Flag.assimilated) & early
    assert 0 < used.sum() == numbers.read(folder.at(LATER).field("carried"), ["early"], LATER)["early"]


@pytest.mark.parametrize(("before", "after", "words"), [
    ("[slots]\nevery_hours = 3\nwindow_hours = [-3, 0]\n", "", "add a section [slots]"),
    ("[slots]", "[retention]\nmembers_hours = 0\n[slots]", "2 times before, and [retention] members_hours = 0"),
])
def test_what_the_experiment_does_not_leave_it_is_refused_at_the_start(tmp_path, before, after, words):
    made = case.make(tmp_path, NEURAL.replace(before, after) + "analyses = 2\n")
    refused = case.program(made.toml, times.name(TIME), path=PACKAGE)
    assert refused.returncode == 1 and words in refused.stderr and not made.files.analysis.folder.exists()
