"""The experiment file: defaults, refusals with their place, folders and times."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from contracts import config
from contracts.errors import UserError
from contracts.grid import Grid

EXPERIMENT = """
[experiment]
name = "twin"
start = 1989-01-01T06:00:00Z
end = 1989-01-01T18:00:00Z
"""


class Plain(config.Section, frozen=True, tag_field="method", tag="plain"):
    factor: float = 1.0


class Clever(config.Section, frozen=True, tag_field="method", tag="clever"):
    memory: float = 1.0


class Choice(config.Section, frozen=True):
    experiment: config.Experiment
    inflation: Plain | Clever = Plain()


class Parts(config.Section, frozen=True):
    solver: Plain | Clever = Clever()
    static: Plain | None = None
    other: Plain | Clever | None = None


class Nested(config.Section, frozen=True):
    experiment: config.Experiment
    inflation: Plain | Clever = Plain()
    analysis: Parts = Parts()


class Settings(config.Section):
    experiment: config.Experiment
    grid: config.GridSettings = config.GridSettings()
    state: config.StateSettings = config.StateSettings()


def decoded(text: str) -> Settings:
    return config.decode(text, Settings, "twin.toml")


def test_defaults_are_those_of_the_papers():
    settings = decoded(EXPERIMENT)
    assert [time.hour for time in settings.experiment.times()] == [6, 12, 18]
    assert settings.state.space(settings.grid.grid()).shape == (39, 32, 64)
    assert settings.experiment.members == 20


def test_sections_of_other_programs_are_left_alone():
    assert decoded(EXPERIMENT + "[localization]\nhorizontal_km = 600\n").grid.nlat == 32


@pytest.mark.parametrize("text, sentence", [
    (EXPERIMENT + "[grid]\nnlta = 3\n", r"twin.toml: \[grid\]: unknown setting 'nlta'; known: nlat"),
    (EXPERIMENT + "[gird]\n", r"twin.toml: unknown section 'gird'; known: experiment"),
    (EXPERIMENT + "[grid]\nnlat = 1\n", r"twin.toml: \[grid\] nlat: Expected int >= 2"),
    (EXPERIMENT + "[grid]\nnlat = 'x'\n", r"twin.toml: \[grid\] nlat: Expected int, got str"),
    (EXPERIMENT + "members = 1\n", r"twin.toml: \[experiment\] members: Expected int >= 2"),
    (EXPERIMENT.replace("twin", "../twin", 1), r"twin.toml: \[experiment\] name"),
    (EXPERIMENT.replace("T18:00:00Z", "T18:00:00"), r"end must be a full hour in UTC"),
    (EXPERIMENT.replace("1989-01-01T18", "1988-01-01T18"), r"lies before start"),
    (EXPERIMENT + "[state]\non_levels = ['temprature']\n", r"unknown variable 'temprature'"),
    ("experiment = [", r"twin.toml: is not valid TOML"),
    ("", r"missing required field experiment"),
])
def test_what_does_not_fit_is_refused_with_its_place(text, sentence):
    with pytest.raises(UserError, match=sentence):
        decoded(text)


def test_a_choice_between_sections_is_made_by_its_method():
    text = EXPERIMENT + '[inflation]\nmethod = "clever"\nmemory = 2.0\n'
    assert config.decode(text, Choice, "twin.toml").inflation == Clever(memory=2.0)
    with pytest.raises(UserError, match=r"\[inflation\]: unknown setting 'memroy'; known: method, factor, memory"):
        config.decode(text.replace("memory", "memroy"), Choice, "twin.toml")
    with pytest.raises(UserError, match=r"twin.toml: \[inflation\]"):
        config.decode(text.replace("memory", "factor"), Choice, "twin.toml")
    with pytest.raises(UserError, match=r"\[inflation\] method: expected one of plain, clever, got 'clevr'"):
        config.decode(text.replace('"clever"', '"clevr"'), Choice, "twin.toml")


def test_a_choice_that_names_no_method_is_the_default():
    def decoded(text: str) -> Nested:
        return config.decode(EXPERIMENT + text, Nested, "twin.toml")

    assert decoded("[inflation]\nfactor = 2.0\n").inflation == Plain(factor=2.0)
    assert decoded("[analysis.solver]\nmemory = 3.0\n").analysis.solver == Clever(memory=3.0)
    assert decoded("[analysis.static]\nfactor = 2.0\n").analysis.static == Plain(factor=2.0)
    with pytest.raises(UserError, match=r"\[analysis.solver\]: unknown setting 'memroy'; known: method, fac"):
        decoded("[analysis.solver]\nmemroy = 3.0\n")
    with pytest.raises(UserError, match=r"\[analysis.other\] method: expected one of plain, clever, got ''"):
        decoded("[analysis.other]\nmemory = 3.0\n")


def test_an_environment_variable_that_is_not_set_is_named(monkeypatch):
    time = datetime(1989, 1, 1, 6, tzinfo=UTC)
    monkeypatch.setenv("ARCHIVE", "/archive")
    assert config.file_of("$ARCHIVE/%Y/prepqm%y%m%d%H", time) == Path("/archive/1989/prepqm89010106")
    monkeypatch.delenv("ARCHIVE")
    with pytest.raises(UserError, match=r"\$ARCHIVE/.*is not set"):
        config.file_of("$ARCHIVE/%Y/prepqm%y%m%d%H", time)


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="no experiment file can be read there"):
        config.load(tmp_path / "none.toml", Settings)


def test_the_environment_moves_all_files(monkeypatch):
    monkeypatch.delenv("WORK", raising=False)
    assert decoded(EXPERIMENT).experiment.folder.folder == Path("work/twin")
    monkeypatch.setenv("WORK", "/elsewhere")
    assert decoded(EXPERIMENT).experiment.folder.folder == Path("/elsewhere/twin")


def test_a_time_of_the_experiment_is_told_from_others():
    experiment = decoded(EXPERIMENT).experiment
    assert experiment.time_of("1989010112") == datetime(1989, 1, 1, 12, tzinfo=UTC)
    for other in ("1989010100", "1989010107", "1989010200"):
        with pytest.raises(UserError, match=f"{other} is no time of the experiment; it has 1989010106 to 1989010118"):
            experiment.time_of(other)


@pytest.mark.parametrize(("text", "expected"), [
    ("gaussian = true", Grid.gaussian(32, 64)),
    ("nlat = 4\nnlon = 8\npoles = true", Grid.regular(4, 8, poles=True)),
    ("lat = [-60, -10, 20, 70]", Grid(np.array([-60.0, -10, 20, 70]), Grid.regular(32, 64).lon)),
    ("lat = [-45, 45]\nlon = [45, 135, 225, 315]", Grid(np.array([-45.0, 45]), np.arange(45.0, 360, 90))),
    ("nlat = 2\nlat = [-45.0, 45.0]\nnlon = 8", Grid(np.array([-45.0, 45]), Grid.regular(2, 8).lon)),
])
def test_rows_and_columns_may_stand_anywhere(text, expected):
    assert decoded(EXPERIMENT + f"[grid]\n{text}\n").grid.grid() == expected


@pytest.mark.parametrize(("text", "said"), [
    ("lat = [10, -10]", "lat must ascend"),
    ("lat = [-10, 95]", "lat must lie within"),
    ("nlat = 3\nlat = [-10, 10]", "nlat = 3, and lat names 2: leave nlat out"),
    ("gaussian = true\npoles = true", "rows are said twice: of poles, gaussian and lat leave one"),
    ("gaussian = true\nlat = [-10, 10]", "rows are said twice"),
    ("lon = [0, 80, 180, 270]", "lon must have equal steps, got 80 to 100 degrees"),
    ("lon = [0, 10, 20, 30]", "all round the globe"),
    ("lat = [-10, inf]", "inf"),
    ("lon = [0, 90]", "lon"),
])
def test_axes_that_are_none_of_a_globe_are_refused(text, said):
    with pytest.raises(UserError, match=said):
        decoded(EXPERIMENT + f"[grid]\n{text}\n")
