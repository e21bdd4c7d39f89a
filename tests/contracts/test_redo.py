"""A step redone: what depends on it goes and nothing else, whenever the removal is killed."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts import __main__ as shell
from contracts import redo, times
from contracts.config import Experiment
from contracts.errors import UserError
from contracts.stages import STAGES

START, STEP, MEMBERS = datetime(1990, 1, 31, tzinfo=UTC), timedelta(hours=6), 2
TIMES = [START + n * STEP for n in range(4)]
STATISTICS = ("ensmean.nc", "ensspread.nc")
OF_AN_ENSEMBLE = ("m0001.nc", "m0002.nc", *STATISTICS)
OF_AN_ANALYSIS = {"departures.nc", "inflation.nc", "relaxation_factor.nc", *(f"analysis/{n}" for n in OF_AN_ENSEMBLE)}


@pytest.fixture
def experiment(tmp_path, monkeypatch) -> Experiment:
    """All files of a finished experiment of four times, with an extended forecast from the second; they are empty."""
    monkeypatch.setenv("WORK", str(tmp_path))
    made = Experiment(name="again", start=START, end=TIMES[-1], members=MEMBERS)
    for time in TIMES:
        for name in ("observations.nc", "scores.nc", "log/analysis.log", *OF_AN_ANALYSIS):
            empty(made.folder.at(time).folder / name)
    for time in [*TIMES, TIMES[-1] + STEP]:
        for name in (*OF_AN_ENSEMBLE, ".restart/m0001.npz"):
            empty(made.folder.at(time).background.folder / name)
    for name in STATISTICS:
        empty(made.folder.at(TIMES[1]).forecast(timedelta(hours=12)).folder / name)
    return made


def empty(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def files(experiment: Experiment) -> set[str]:
    folder = experiment.folder.folder
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def complete(experiment: Experiment, stage: str, time: datetime) -> bool:
    """As run/cycle.sh sees it."""
    here, following = experiment.folder.at(time), experiment.folder.at(time + STEP).background
    return {"observations": here.observations.exists(), "forecast": following.is_complete(MEMBERS),
            "analysis": here.departures.exists() and here.analysis.is_complete(MEMBERS),
            "verify": here.scores.exists()}[stage]


def at(number: int, names) -> set[str]:
    return {f"{times.name(START + number * STEP)}/{name}" for name in names}


BACKGROUND = {f"background/{name}" for name in (*OF_AN_ENSEMBLE, ".restart/m0001.npz")}
LATER = at(3, {*OF_AN_ANALYSIS, "scores.nc"}) | at(4, BACKGROUND)
FROM_ANALYSIS = at(2, {*OF_AN_ANALYSIS, "scores.nc"}) | at(3, BACKGROUND) | LATER


@pytest.mark.parametrize(("stage", "gone"), [
    ("observations", at(2, {"observations.nc"}) | FROM_ANALYSIS),
    ("analysis", FROM_ANALYSIS),
    ("forecast", at(3, BACKGROUND) | LATER),
    ("verify", at(2, {"scores.nc"})),
])
def test_what_depends_on_it_goes_and_nothing_else(experiment, stage, gone):
    before = files(experiment)
    sentence = redo.redo(experiment, stage, TIMES[2])
    assert before - files(experiment) == gone
    assert files(experiment) < before
    assert sentence == f"redo {stage} of 1990013112: {len(gone)} file(s) removed that it made or that depend on them"


def test_an_extended_forecast_goes_with_the_analysis_that_it_started_from(experiment):
    redo.redo(experiment, "forecast", TIMES[1])
    assert at(1, ["forecast/012h/ensmean.nc"]) <= files(experiment)
    redo.redo(experiment, "analysis", TIMES[1])
    assert not at(1, ["forecast/012h/ensmean.nc"]) & files(experiment)


class Killed(BaseException):
    pass


def test_what_links_lead_to_in_another_experiment_stays(experiment, tmp_path):
    """As `run/early.sh` leaves them."""
    background = experiment.folder.at(TIMES[3]).background.folder
    other = background.rename(tmp_path / "of another")
    background.symlink_to(other)
    before = sorted(other.iterdir())
    redo.redo(experiment, "analysis", TIMES[2])
    assert not background.is_symlink() and sorted(other.iterdir()) == before != []


def killed_after(count: int, monkeypatch) -> None:
    """Let the removal die when that many files or folders were gone over."""
    left, remove = iter(range(count)), redo._remove

    def mortal(path: Path) -> int:
        if next(left, None) is None:
            raise Killed
        return remove(path)

    monkeypatch.setattr(redo, "_remove", mortal)


@pytest.mark.parametrize("stage", STAGES)
def test_killed_anywhere_nothing_stands_without_what_it_was_made_from_and_the_next_run_finishes_it(
        experiment, stage, tmp_path, monkeypatch):
    steps = len(list(redo.removed(experiment, stage, TIMES[1])))
    whole = shutil.copytree(tmp_path, tmp_path / "whole")
    redo.redo(experiment, stage, TIMES[1])
    wanted = files(experiment)
    for count in range(steps):
        monkeypatch.setenv("WORK", str(shutil.copytree(whole, tmp_path / str(count))))
        with monkeypatch.context() as patch, pytest.raises(Killed):
            killed_after(count, patch)
            redo.redo(experiment, stage, TIMES[1])
        stands = {time: {each: complete(experiment, each, time) for each in STAGES} for time in TIMES}
        for time, here in stands.items():
            assert here["observations"] or not here["analysis"], (count, time)
            assert here["analysis"] or not (here["forecast"] or here["verify"]), (count, time)
            assert time == START or stands[time - STEP]["forecast"] or not here["analysis"], (count, time)
        redo.finish(experiment)
        assert files(experiment) == wanted


def let_go(experiment: Experiment, number: int) -> None:
    for ensemble in (experiment.folder.at(TIMES[number]).background, experiment.folder.at(TIMES[number]).analysis):
        if ensemble != experiment.folder.at(START).background:
            ensemble.tidied.touch()
            for path in ensemble.members(MEMBERS):
                path.unlink()


@pytest.mark.parametrize(("stage", "folder", "nearest"), [
    ("analysis", "background", "1990013100 before it, 1990013112 after it"),
    ("forecast", "background", "1990013112 after it"),
])
def test_without_the_members_it_begins_with_it_is_refused_with_the_times_where_it_can_be_done(
        experiment, stage, folder, nearest):
    for number in (0, 1):
        let_go(experiment, number)
    before = files(experiment)
    with pytest.raises(UserError) as refused:
        redo.redo(experiment, stage, TIMES[1])
    assert str(refused.value) == (
        f"{experiment.folder.at(TIMES[1]).folder / folder}: m0001.nc to m0002.nc are no longer kept ([retention]), so "
        f"{stage} of 1990013106 cannot be redone; the nearest times where it can: {nearest}")
    assert files(experiment) == before


def test_times_that_are_made_again_have_members_again(experiment):
    for number in (1, 2):
        let_go(experiment, number)
    redo.redo(experiment, "analysis", START)
    assert not any(name.endswith(".tidied") for name in files(experiment))


def test_an_unknown_stage_or_time_is_refused_with_what_there_is(experiment):
    with pytest.raises(UserError, match="unknown stage 'forcast'; known: observations, analysis, forecast, verify"):
        redo.redo(experiment, "forcast", START)
    with pytest.raises(UserError, match="1990020100 is no time of the experiment; it has 1990013100 to 1990013118"):
        redo.redo(experiment, "forecast", TIMES[-1] + STEP)


def test_the_shell_asks_for_it(experiment, tmp_path, capsys):
    path = tmp_path / "again.toml"
    path.write_text('[experiment]\nname = "again"\nmembers = 2\n'
                    "start = 1990-01-31T00:00:00Z\nend = 1990-01-31T18:00:00Z\n")
    shell.main([str(path), "--redo", "verify", "1990013106"])
    assert capsys.readouterr().out.startswith("redo verify of 1990013106: 1 file(s) removed")
    with pytest.raises(UserError, match="--redo: expected a stage, one of observations, .* got 'verify'"):
        shell.main([str(path), "--redo", "verify"])
