"""A small experiment of any forecast model through its times, with made analyses and what retention takes."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from contracts import state, static, times
from contracts.nature import FOLDER, NatureFolder, beside
from contracts.state import State
from model_server import config, restart
from model_server.forecast import forecast, model_of
from model_server.initial import initial
from tests import builders

START = datetime(1989, 1, 1, tzinfo=UTC)
STEP, MEMBERS = timedelta(hours=6), 4
NUMBERS = range(1, MEMBERS + 1)
TEXT = """
[experiment]
name = "{name}"
start = 1989-01-01T00:00:00Z
end = 1989-01-01T12:00:00Z
members = 4
seed = {seed}
[grid]
nlat = 4
nlon = 8
[state]
levels_hpa = [500, 850]
[initial]
first = 1988-01-01T00:00:00Z
[model]
name = "{model}"
batch = {batch}
{more}
"""


def write(work: Path, model: str, name: str = "e", batch: int = MEMBERS, seed: int = 1,
          more: str = "") -> config.Settings:
    """An experiment file in the folder `work`, which WORK names."""
    path = work / f"{name}.toml"
    path.write_text(TEXT.format(model=model, name=name, batch=batch, seed=seed, more=more))
    return config.load(path)


def first_ensemble(settings: config.Settings) -> config.Settings:
    """The same experiment with members that are states of a nature run without weather."""
    nature = NatureFolder(settings.initial_folder)
    for number in NUMBERS:
        when = datetime(1988, 1, 1, tzinfo=UTC) + (number - 1) * timedelta(hours=12)
        state.write(nature.state(when), builders.random_state(settings.space, number, when))
    static.write(nature.static, builders.flat_static(settings.space.grid))
    initial(settings)
    return settings


def at(settings, time):
    return settings.experiment.folder.at(time)


def members(settings, folder, time) -> np.ndarray:
    """(member, channel, lat, lon)"""
    return np.stack([state.read(path, settings.space, time).data for path in folder.members(MEMBERS)])


def analyse(settings, time, increment: float = 1.0):
    """Analyses that differ from the backgrounds by other fields for each member and time."""
    here = at(settings, time)
    for number, data in zip(NUMBERS, members(settings, here.background, time), strict=True):
        draws = np.random.default_rng((times.to_seconds(time), number)).standard_normal(data.shape, dtype=np.float32)
        analysis = data + np.float32(0.01 * increment) * data.std(axis=(1, 2), keepdims=True) * draws
        state.write(here.analysis.member(number), State(settings.space, analysis, time), number)
    here.departures.touch()  # says that the analysis is complete


def tidy(settings, time):
    """What retention does to a time whose cycle is finished; the first background stays."""
    ensembles = [at(settings, time).analysis, *([at(settings, time).background] if time > START else [])]
    for path in (path for each in ensembles for path in [*each.members(MEMBERS), each.folder / FOLDER]):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def cycle(settings, make=forecast, kept: bool = True, increment: float = 1.0) -> dict[str, np.ndarray]:
    """All times; by name the mean, spread and members of the last background, and what is kept beside them."""
    for time in settings.experiment.times():
        analyse(settings, time, increment)
        make(settings, time)
        if not kept:
            tidy(settings, time)
    time, model = settings.experiment.times()[-1] + STEP, model_of(settings)
    background = at(settings, time).background
    found = {path.stem: state.read(path, settings.space, time).data for path in background.files(MEMBERS)}
    for path in background.members(MEMBERS) if model.keeps_restart or model.history == 2 else ():
        kept = restart.read(beside(path), model.name, time)
        found |= {f"{path.stem} {name}": array for name, array in kept.own.items()}
        if kept.before is not None:
            found[f"{path.stem} before"] = kept.before
    return found


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], what: str = "") -> None:
    """All arrays are equal to the last bit."""
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=f"{what} {name}")
