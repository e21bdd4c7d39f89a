"""Early analyses beside an experiment: the same backgrounds, earlier observations, and nothing goes back."""

import shutil

import pytest

from contracts import times
from tests.system.experiment import Experiment, copy, data, same, until

TIMES = ["1989010100", "1989010106"]


@pytest.fixture
def early(finished, tmp_path) -> tuple[Experiment, Experiment]:
    """The experiment that stands on a finished one, and that one."""
    main = copy(finished[0].work, tmp_path)
    path = main.work / "early.toml"
    path.write_text('base = "tiny.toml"\n[experiment]\nname = "early"\n')
    return Experiment(path, main.work), main


def run(early: Experiment, main: Experiment, steps: int = 2):
    return early.run("early.sh", after=f'"{main.path}" {steps}')


def test_with_the_same_observations_the_early_analysis_is_the_late_one(early):
    """Bit for bit at every time, so that background and inflation are those of the experiment beside it."""
    early, main = early
    before = data(main.folder)
    done = run(early, main)
    assert done.returncode == 0, done.stdout + done.stderr
    same(data(main.folder), before)
    folder = main.work / "early"
    for time in TIMES:
        same(data(folder / time / "analysis"), data(main.folder / time / "analysis"))
        assert (folder / time / "scores.nc").exists()
        for lead in ("006h", "012h"):
            assert (folder / time / "forecast" / lead / "ensspread.nc").exists()
    following = times.name(times.parse(TIMES[-1]) + main.settings.experiment.step)
    assert not (folder / following).exists()  # nothing is cycled
    again = run(early, main)
    assert again.returncode == 0 and not again.stdout, again.stdout


def test_it_goes_on_where_it_was_stopped(early):
    early, main = early
    background = main.folder / TIMES[1] / "background"
    aside = shutil.move(background, main.work / "aside")
    process = early.start("early.sh", after=f'"{main.path}" 1')
    try:
        until((main.work / "early" / TIMES[0] / "scores.nc").exists, "the first time")
        (main.work / "early" / "stop").touch()
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130 and "stopped by" in out, out + err
    shutil.move(aside, background)
    done = run(early, main, 1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert TIMES[0] not in done.stdout and done.stdout.count(TIMES[1]) == 4  # steps


def test_an_experiment_is_not_its_own_early_one(early):
    _, main = early
    done = main.run("early.sh", after=f'"{main.path}" 1')
    assert done.returncode == 1 and "give the early one a name of its own" in done.stderr
