"""An experiment file on another: the settings of both, those above first."""

import tomllib
from pathlib import Path

import pytest

from contracts import base, config, frozen, validation
from contracts.__main__ import Settings
from contracts.errors import UserError
from tests.ours import EXPERIMENTS

BELOW = """
[experiment]
name = "below"
start = 1989-01-01T18:00:00Z
end = 1989-01-02T06:00:00Z
[run]
ranks = 3
[analysis]
solver = { method = "letkf" }
"""
ABOVE = """
base = "below.toml"
[experiment]
name = "above"
[localization]
horizontal_km = 800.0
"""


@pytest.fixture
def above(tmp_path) -> Path:
    (tmp_path / "below.toml").write_text(BELOW)
    (tmp_path / "above.toml").write_text(ABOVE)
    return tmp_path / "above.toml"


def test_a_file_takes_what_it_does_not_say_from_its_base(above):
    whole = tomllib.loads(base.complete(above))
    below = tomllib.loads(BELOW)
    assert whole == below | {"experiment": below["experiment"] | {"name": "above"},
                             "localization": {"horizontal_km": 800.0}}
    settings = config.load(above, Settings)
    assert (settings.experiment.name, settings.run.ranks) == ("above", 3)


def test_a_base_may_have_a_base_in_another_folder(above):
    (above.parent / "deep").mkdir()
    top = above.parent / "deep" / "top.toml"
    top.write_text('base = "../above.toml"\n[run]\nranks = 5\n')
    settings = config.load(top, Settings)
    assert (settings.experiment.name, settings.run.ranks) == ("above", 5)


def test_what_is_frozen_is_the_whole_and_a_changed_base_is_noticed(above, monkeypatch):
    monkeypatch.setenv("WORK", str(above.parent))
    settings = config.load(above, Settings)
    kept = settings.experiment.folder.settings
    frozen.freeze(base.complete(above), settings.experiment, settings.run, "code")
    assert tomllib.loads(kept.read_text()) == tomllib.loads(base.complete(above))
    (above.parent / "below.toml").write_text(BELOW.replace('"letkf"', '"other"'))
    with pytest.raises(UserError, match=r"\[analysis\] solver"):
        frozen.refuse_other(above, settings.experiment)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda p: p.stem)
def test_every_experiment_of_ours_is_valid(path, monkeypatch, installed):
    monkeypatch.syspath_prepend(installed)  # the package that one of them asks for
    monkeypatch.setattr("model_server.environment.refuse_absent", lambda model: None)  # what `make earth2studio` brings
    whole = tomllib.loads(base.complete(path))
    settings = config.load(path, Settings)
    assert settings.experiment.name == whole["experiment"]["name"]
    assert validation.validate(path, whole, settings.run)


@pytest.mark.parametrize(("text", "words"), [
    ('base = "nowhere.toml"', "no experiment file can be read there"),
    ('base = "above.toml"', "do they name one another"),
    ('base = "below.toml"\nmembers = 3', "members: stands in no section"),
    ("analysis = 3\n" + BELOW.replace("[analysis]", "[other]"), "analysis: stands in no section; only base may"),
    ('base = "loose.toml"', "loose.toml: run: stands in no section"),
])
def test_a_base_that_is_none_is_refused(above, text, words):
    above.write_text(text)
    (above.parent / "loose.toml").write_text("run = 3\n" + BELOW.replace("[run]", "[retention]"))
    with pytest.raises(UserError, match=words):
        base.complete(above)
