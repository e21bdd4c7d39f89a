"""A small experiment of any forecast model through its times, with made analyses and what retention takes."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from contracts import ensemble, state, static, times
from contracts.members import Form
from contracts.members import write as write_members
from contracts.nature import FOLDER, NatureFolder
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
members_in = "{members_in}"
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
          more: str = "", members_in: str = "files") -> config.Settings:
    """An experiment file in the folder `work`, which WORK names."""
    path = work / f"{name}.toml"
    path.write_text(TEXT.format(model=model, name=name, batch=batch, seed=seed, more=more, members_in=members_in))
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
    return np.stack(list(ensemble.stored(folder, MEMBERS, settings.space, time)))


def analyse(settings, time, increment: float = 1.0):
    """Analyses that differ from the backgrounds by other fields for each member and time."""
    here = at(settings, time)
    analyses = members(settings, here.background, time)
    for number, data in zip(NUMBERS, analyses, strict=True):
        draws = np.random.default_rng((times.to_seconds(time), number)).standard_normal(data.shape, dtype=np.float32)
        data += np.float32(0.01 * increment) * data.std(axis=(1, 2), keepdims=True) * draws
    write_members(here.analysis, NUMBERS, analyses, Form(settings.space, time, "", settings.experiment.one_file_of))
    here.departures.touch()  # says that the analysis is complete


def tidy(settings, time):
    """What retention does to a time whose cycle is finished; the first background stays."""
    ensembles = [at(settings, time).analysis, *([at(settings, time).background] if time > START else [])]
    for path in (path for each in ensembles for path in [*each.members(MEMBERS), each.together, each.folder / FOLDER]):
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
    found = {path.stem: state.read(path, settings.space, time).data for path in (background.mean, background.spread)}
    found |= {f"m{number:04d}": data for number, data in zip(NUMBERS, members(settings, background, time), strict=True)}
    keeping = NUMBERS if model.keeps_restart or model.history == 2 else ()
    for number, one in zip(keeping, restart.read_members(background, keeping, model.name, time), strict=True):
        found |= {f"m{number:04d} {name}": array for name, array in one.own.items()}
        if one.before is not None:
            found[f"m{number:04d} before"] = one.before
    return found


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], what: str = "") -> None:
    """All arrays are equal to the last bit."""
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=f"{what} {name}")
