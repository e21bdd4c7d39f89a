"""Our experiment files find the weights and the packed states that they name, and these fit them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import numpy as np
import pytest

from contracts import times
from model_server import config, models
from model_server.models.onnx import Onnx
from model_server.models.stepped import Stepped
from networks import card as cards
from networks import starter
from networks.climax import emulator
from networks.data import shards
from networks.passes import Passes
from tests.ours import EXPERIMENTS, FOLDER


def ours(names: Callable[[config.Settings], object]) -> list:
    """Those of our experiment files that name something."""
    return [pytest.param(settings, id=path.stem) for path in EXPERIMENTS
            if names(settings := config.load(path))]


def comes_with_the_code(settings: config.Settings) -> bool:
    """Whether its model is of weights by name, and of nothing else."""
    chosen = settings.model.options
    return "checkpoint" in chosen and "/" not in chosen["checkpoint"] and "prior" not in chosen


@pytest.mark.parametrize("settings", ours(comes_with_the_code))
def test_the_weights_that_an_experiment_names_make_its_model(settings):
    model = models.create(settings.model.name, settings.model.options, settings.space)
    assert isinstance(model, (Stepped, Onnx))  # by one engine or the other
    assert model.space == settings.space and not settings.experiment.step % model.time_step


@pytest.mark.parametrize("settings", ours(lambda settings: settings.nature.packed))
def test_the_packed_states_that_an_experiment_names_are_those_it_begins_with(settings):
    experiment, first = settings.experiment, settings.initial.first or settings.nature_start
    path = starter.find(settings.nature.packed, ".h5")
    with shards.opened(path, settings.space) as file:
        held = set(file["time"][:].tolist())
    begin = [first + number * timedelta(hours=settings.initial.every_hours) for number in range(experiment.members)]
    truth = [] if settings.model.seen == "another_world" else experiment.times()  # the real atmosphere is not packed
    assert {times.to_seconds(time) for time in [*begin, *truth]} <= held


def test_what_comes_with_the_code_is_small_and_as_its_cards_say():
    files = [path for path in starter.FOLDER.iterdir() if path.suffix in (".safetensors", ".h5")]
    assert sum(path.stat().st_size for path in files) < 30e6
    ours = [path for path in starter.FOLDER.glob("*.toml") if 'contract = "card/2"' in path.read_text()]
    assert ours
    for path in ours:
        card, weights = cards.read(path, path), path.with_suffix(".safetensors")
        assert card.command and card.seen and card.scores
        assert not card.address  # there is none
        if weights.exists():
            assert (weights.stat().st_size, sha256(weights.read_bytes()).hexdigest()) == (card.bytes, card.sha256)


def truth(space) -> np.ndarray:
    """The states of the packed truth, six hours apart, (time, channel, lat, lon)."""
    with shards.opened(starter.find("nature_t31", ".h5"), space) as file:
        seconds = file["time"][:]
        rows = np.flatnonzero(seconds >= seconds[-1] - 5 * shards.DAY)
        return file["offset"][:] + file["scale"][:][:, None, None] * file["fields"][rows].astype(np.float32)


def test_half_precision_of_the_weights_costs_no_skill():
    """Weights moved at random by as much as rounding to float16 moves them forecast as well, to a hundredth."""
    settings = config.load(FOLDER / "twin_climax.toml")
    checkpoint, states = emulator.load(starter.find("climax_t31", ".safetensors")), truth(settings.space)
    rng = np.random.default_rng(0)
    moved = {name: weights + rng.uniform(-0.5, 0.5, weights.shape) * np.spacing(np.abs(weights.astype(np.float16)))
             for name, weights in checkpoint.weights.items()}
    errors = []
    for weights in (checkpoint.weights, {name: array.astype(np.float32) for name, array in moved.items()}):
        members = Passes.of([emulator.emulator(replace(checkpoint, weights=weights), settings.space, "the weights")])
        fields = states[0:17:4]
        for _ in range(4):
            fields = members.step(fields, 0)
        squares = (fields - states[4:21:4]).astype(np.float64) ** 2
        errors.append(np.sqrt((squares * settings.space.grid.area_weights).mean(axis=(0, 2, 3))))
    np.testing.assert_allclose(errors[1], errors[0], rtol=0.01)  # RMSE of each channel after a day
    assert (errors[1] != errors[0]).all()
