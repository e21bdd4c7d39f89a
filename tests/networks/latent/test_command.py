"""`python -m networks latent`: from a nature run and weights to numbers and their card, and what refuses them."""

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from contracts import times
from contracts.config import Experiment
from contracts.errors import UserError
from contracts.grid import Grid
from contracts.state import StateSpace
from networks import checkpoint as checkpoints
from networks.latent import card, errors, making
from tests.networks import climax_builders
from tests.networks.climax_builders import START, STEP

LATENT = """
[experiment]
name = "made"
start = 1990-01-01T00:00:00Z
end = 1990-01-06T00:00:00Z
work = "{work}"
[grid]
nlat = 8
nlon = 16
[state]
levels_hpa = [500, 850]
on_levels = ["geopotential", "temperature"]
at_surface = ["2m_temperature"]
[latent]
file = "latent/small.safetensors"
natures = ["nature"]
checkpoint = "{work}/small.safetensors"
lead_hours = 12
patch = [2, 4]
modes = 6
fit = {{ first = 1990-01-01T00:00:00Z, last = 1990-01-04T00:00:00Z, errors = 9 }}
check = {{ first = 1990-01-04T06:00:00Z, last = 1990-01-06T00:00:00Z, errors = 3 }}
"""


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """The work folder, the latent and where it lies."""
    work = tmp_path_factory.mktemp("work")
    climax_builders.nature_run(work / "nature", climax_builders.small_space(), 21)
    checkpoints.write(work / "small.safetensors",
                      climax_builders.checkpoint(climax_builders.card(climax_builders.small_space())))
    toml = work / "latent.toml"
    toml.write_text(LATENT.format(work=work))
    return work, making.make(toml), work / "latent/small.safetensors"


def experiment(start: str, end: str) -> Experiment:
    return msgspec.convert({"name": "later", "start": start, "end": end}, Experiment)


@pytest.mark.parametrize("overlap", [False, True])
def test_what_is_read_is_what_was_fitted(fitted, overlap):
    work, latent, path = fitted
    if overlap:
        text = LATENT.format(work=work).replace("small.safe", "four.safe", 1) + "overlap = true\n"
        path = work / "latent/four.safetensors"
        (work / "four.toml").write_text(text)
        latent = making.make(work / "four.toml")
    found = card.read(path, climax_builders.small_space())
    assert found.patch == latent.patch == (2, 4) and found.modes == 6 and len(found.grids()) == (4 if overlap else 1)
    for name in ("scale", "mean"):
        assert np.array_equal(getattr(found, name), getattr(latent, name).astype(np.float32))
    for name in ("basis", "variance"):
        assert all(np.array_equal(a, b.astype(np.float32))
                   for a, b in zip(getattr(found, name), getattr(latent, name), strict=True))


def test_the_same_command_makes_the_same_bits(fitted):
    work, _, path = fitted
    before = path.read_bytes(), card.beside(path).read_bytes()
    making.make(work / "latent.toml")
    assert (path.read_bytes(), card.beside(path).read_bytes()) == before


def test_the_card_says_years_command_and_what_is_lost(fitted):
    text = card.beside(fitted[2]).read_text()
    assert "1990-01-01" in text and "1990-01-04" in text and "python -m networks latent" in text
    assert all(f"{channel.name} = " in text for channel in climax_builders.small_space().channels)


def test_errors_are_forecasts_minus_truth_at_their_end():
    truth = {START + n * STEP: np.full((1, 2, 2), float(n**2)) for n in range(9)}
    begin = errors.starts(START, START + 8 * STEP, 2 * STEP, STEP, 7)
    asked: list[int] = []

    def step(states, seconds):
        asked.extend(seconds)
        return states + 1

    found = list(errors.forecast_errors(truth.__getitem__, step, errors.groups(begin), STEP, 2 * STEP))
    assert asked == [times.to_seconds(time + n * STEP) for n in range(2) for time in begin]
    assert begin == [START + n * STEP for n in range(7)]
    for n, (error, end) in enumerate(found):
        assert np.array_equal(error, np.full((1, 2, 2), n**2 + 2 - (n + 2) ** 2)) and (end == (n + 2) ** 2).all()


def test_beginnings_are_spread_over_the_period_and_end_within_it():
    first, last = datetime(1993, 1, 1, tzinfo=UTC), datetime(1995, 12, 31, 18, tzinfo=UTC)
    begin = errors.starts(first, last, timedelta(hours=24), timedelta(hours=6), 400)
    assert begin[0] == first and begin[-1] == last - timedelta(hours=24) and len(set(begin)) == 400
    assert len({time.month for time in begin}) == 12 and len({time.hour for time in begin}) == 4


def test_more_errors_than_forecasts_are_refused():
    with pytest.raises(ValueError, match="9 errors were asked for.* there are 7 forecasts of 12 h"):
        errors.starts(START, START + 8 * STEP, 2 * STEP, STEP, 9)


def test_a_latent_is_refused_by_an_experiment_whose_times_it_has_seen(fitted):
    path, space = fitted[2], climax_builders.small_space()
    card.read(path, space, experiment("1990-01-04T06:00:00Z", "1990-02-01T00:00:00Z"))
    for start, end in (("1989-12-01", "1990-01-01"), ("1990-01-04", "1990-02-01"), ("1990-01-02", "1990-01-03")):
        with pytest.raises(UserError, match="1990010100 to 1990010400"):
            card.read(path, space, experiment(f"{start}T00:00:00Z", f"{end}T00:00:00Z"))


def test_errors_in_times_that_the_network_has_seen_are_refused(tmp_path):
    of = climax_builders.card(climax_builders.small_space(), seen=((START - STEP, START + STEP),))
    checkpoints.write(tmp_path / "small.safetensors", climax_builders.checkpoint(of))
    (tmp_path / "latent.toml").write_text(LATENT.format(work=tmp_path))
    with pytest.raises(UserError, match="has seen states of 1989123118 to 1990010106.*1990010100 to 1990010400"):
        making.make(tmp_path / "latent.toml")
    assert not (tmp_path / "latent").exists()


def test_states_that_are_not_there_are_told_before_anything_is_forecast(fitted, tmp_path, monkeypatch):
    """Those of the check too, which comes last."""
    work = fitted[0]
    monkeypatch.setattr(errors, "forecast_errors", None)
    text = LATENT.format(work=work).replace("last = 1990-01-06", "last = 1990-01-07")
    (tmp_path / "latent.toml").write_text(text)
    with pytest.raises(UserError, match=r"1990010\d{3}.nc: no such file; \d of 6 states that \[latent\] asks for"):
        making.make(tmp_path / "latent.toml")


def test_a_latent_of_other_states_is_refused(fitted):
    space = climax_builders.small_space()
    with pytest.raises(UserError, match="was fitted for channels"):
        card.read(fitted[2], StateSpace(space.grid, space.channels[:-1]))
    with pytest.raises(UserError, match=r"fitted on 8 x 16 points.*8 x 20 grid"):
        card.read(fitted[2], StateSpace(Grid.regular(8, 20), space.channels))


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda path: card.beside(path).unlink(), "card of this latent cannot be read"),
    (lambda path: card.beside(path).write_text("kind = 'eof'"), "no card of a latent"),
    (lambda path: path.unlink(), "numbers of this latent cannot be read"),
    (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\x01"), "expected numbers of sha256"),
])
def test_a_latent_that_is_damaged_or_without_its_card_is_refused(fitted, tmp_path, spoil, words):
    copy = tmp_path / "small.safetensors"
    for place in (fitted[2], card.beside(fitted[2])):
        (tmp_path / place.name).write_bytes(place.read_bytes())
    spoil(copy)
    with pytest.raises(UserError, match=words):
        card.read(copy, climax_builders.small_space())
