"""No experiment that comes with the code runs in times that its network or its climate was made from, unless they were
those of a nature run, and it sees real observations."""

import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts import base, config
from contracts.errors import UserError
from networks import card, starter, unseen
from tests.ours import EXPERIMENTS, FOLDER

FILES = {path.relative_to(FOLDER).as_posix(): tomllib.loads(base.complete(path)) for path in EXPERIMENTS}
CYCLED = [name for name, document in FILES.items() if document.get("model", {}).get("name") == "climax"
          and document["model"].get("seen") != "another_world"
          and "/" not in document["model"]["options"]["checkpoint"]]  # whose card comes with the code


def experiment(document: dict) -> config.Experiment:
    section = document["experiment"]
    return config.Experiment(name=section["name"], start=section["start"], end=section["end"],
                             tuning=section.get("tuning", False))


def seen(document: dict) -> list[tuple[Path, datetime, datetime]]:
    """What an experiment uses and the periods that it was made from."""
    weights = starter.find(document["model"]["options"]["checkpoint"], starter.WEIGHTS)
    return [(weights, first.astimezone(UTC), last.astimezone(UTC)) for first, last in card.read(
        weights.with_suffix(".toml"), weights).seen]


@pytest.mark.parametrize("name", CYCLED)
def test_no_experiment_runs_in_times_that_its_network_has_seen(name):
    periods = seen(FILES[name])
    assert periods
    for path, first, last in periods:
        unseen.refuse_overlap(path, first, last, experiment(FILES[name]))


def test_those_that_may_see_no_truth_of_that_nature_run():
    others = [document for document in FILES.values() for section in ("model", "neural")
              if document.get(section, {}).get("seen") == "another_world"]
    assert others and all(document["observations"]["source"] != "synthetic" for document in others)


@pytest.mark.parametrize("start", [datetime(1981, 1, 1, tzinfo=UTC), datetime(1991, 12, 31, 18, tzinfo=UTC)])
def test_one_that_did_is_refused_with_both_periods(start):
    made = config.Experiment(name="a", start=start, end=datetime(1992, 1, 31, tzinfo=UTC))
    told = f"climax_t31.*made from states of 1991010100 to 1991123118.*{start:%Y%m%d%H} to"
    with pytest.raises(UserError, match=told):
        for path, first, last in reversed(seen(FILES["twin_climax.toml"])):
            unseen.refuse_overlap(path, first, last, made)


def test_where_settings_are_chosen_it_is_told_and_goes_on(caplog):
    made = config.Experiment(name="a", start=datetime(1991, 6, 1, tzinfo=UTC), end=datetime(1991, 6, 2, tzinfo=UTC),
                             tuning=True)
    for path, first, last in seen(FILES["twin_climax.toml"]):
        unseen.refuse_overlap(path, first, last, made)
    assert "made from states of 1991010100 to 1991123118" in caplog.text


@pytest.mark.parametrize("name", [name for name, document in FILES.items()
                                  if document.get("neural", {}).get("prior", "").endswith(".nc")
                                  and document["neural"].get("seen") != "another_world"])
def test_no_experiment_runs_in_years_of_its_climate(name):
    made = {document["climate"]["file"]: document["climate"] for document in FILES.values() if "climate" in document}
    climate = made[FILES[name]["neural"]["prior"]]
    unseen.refuse_overlap(Path(climate["file"]), climate["start"], climate["end"], experiment(FILES[name]))
