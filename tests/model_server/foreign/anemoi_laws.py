"""Checkpoints of Anemoi behind the protocol, in the environment of `make anemoi` (`test_packages`)."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch

from contracts.errors import UserError
from contracts.state import StateSpace
from model_server import models
from model_server.models.base import Batch, advance, begun
from model_server.models.foreign import exchange
from model_server.models.foreign.lexicon import ANEMOI
from tests import builders
from tests.model_server import cycling
from tests.model_server.foreign import anemoi_network
from tests.model_server.foreign.test_exchange import own_file

SPACE = builders.space(4, 8, (50_000.0, 85_000.0))
MASK = np.arange(SPACE.grid.size, dtype=np.float32).reshape(SPACE.grid.shape) / SPACE.grid.size
TIME = datetime(1989, 1, 1, 6, tzinfo=UTC)


def names(space: StateSpace) -> list[str]:
    return [ANEMOI.name(channel.name) for channel in space.channels]


def write(folder: Path, space: StateSpace = SPACE, **named) -> dict[str, str]:
    """A checkpoint and what it has of its own; the options that take it."""
    torch.manual_seed(1)
    scale = np.array([builders.CLIMATE[channel.variable][1] for channel in space.channels] + [1.0, 1.0, 1.0])
    lat, lon = exchange.points(space.grid.lat[::-1], space.grid.lon)
    path = folder / "small.ckpt"
    anemoi_network.write(path, names(space), ["lsm"], lat, lon, scale, **named)
    own_file(folder / "own.nc", lsm=MASK)
    return {"checkpoint": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "begin": str(folder / "own.nc")}


@pytest.fixture(scope="module")
def options(tmp_path_factory) -> dict[str, str]:
    return write(tmp_path_factory.mktemp("checkpoint"))


def made(options, space=SPACE, **more):
    return models.create("anemoi", options | more, space)


def batch(model, members=(1, 2)) -> Batch:
    data = np.stack([builders.random_state(model.space, number).data for number in members])
    return begun(model, Batch(TIME, data, (None,) * len(members)), members, seed=1)


def insolation(time: datetime) -> np.ndarray:
    """(lat, lon) cosine of the sun's height over the horizon at a solstice's declination, 0 by night: near enough."""
    day = (time - datetime(time.year, 1, 1, tzinfo=UTC)) / timedelta(days=1)
    declination = np.deg2rad(-23.44) * np.cos(2 * np.pi * (day + 10) / 365)
    hour = np.deg2rad(SPACE.grid.lon[None] + (time.hour - 12) * 15.0)
    lat = np.deg2rad(SPACE.grid.lat[:, None])
    return np.maximum(np.sin(lat) * np.sin(declination) + np.cos(lat) * np.cos(declination) * np.cos(hour), 0.0)


def test_a_checkpoint_steps_as_its_network_does_by_itself(options):
    model = made(options)
    first = advance(model, batch(model))
    second = advance(model, first)
    assert (model.history, model.time_step, model.keeps_restart) == (2, timedelta(hours=6), True)

    network = torch.load(options["checkpoint"], weights_only=False)
    own = np.stack([MASK, np.broadcast_to(np.cos(np.deg2rad(SPACE.grid.lat))[:, None], MASK.shape)])
    before, now = (np.concatenate([each.data[0], own, insolation(each.time)[None]]).astype(np.float32)
                   for each in (batch(model), first))  # (variable, lat, lon)
    x = torch.from_numpy(np.stack([before, now])).flatten(2).transpose(1, 2)[None]
    with torch.inference_mode():
        later = network.predict_step(x)[0, 0].T.reshape(SPACE.shape).numpy()
    change = later - first.data[0]
    assert np.abs(change).max() > 0
    # the day of the year enters by the sun's height, which the formula above has to some hundredths
    np.testing.assert_allclose(second.data[0], later, atol=0.05 * np.abs(change).max())
    scale = network.scale[: len(SPACE.channels), None, None].numpy()
    assert np.abs((second.data[0] - later) / scale).max() < 5e-4 < 5e-3 < np.abs(change / scale).max()
    for kept in second.restart:
        np.testing.assert_array_equal(kept["own"][:, 0], [MASK.reshape(4, 8)[::-1].ravel()] * 2)


def test_batches_and_retention_change_no_bit_of_a_cycle(tmp_path, monkeypatch):
    monkeypatch.setenv("WORK", str(tmp_path))
    space = cycling.write(tmp_path, "persistence").space
    more = ", ".join(f'{name} = "{value}"' for name, value in write(tmp_path, space).items())
    found = [cycling.cycle(cycling.first_ensemble(cycling.write(tmp_path, "anemoi", name, size,
                                                                more=f"options = {{ {more} }}")), kept=kept)
             for name, size, kept in (("whole", 4, True), ("single", 1, False))]
    cycling.same(found[1], found[0])


@pytest.mark.parametrize(("more", "told"), [
    ({"checkpoint": "nowhere.ckpt"}, "there is no file nowhere.ckpt; those of AIFS are downloaded"),
    ({"sha256": ""}, "run what stands in it, .* sha256 must say which is meant: expected one, got [0-9a-f]{64}"),
    ({"sha256": "00ff"}, "expected 00ff, got [0-9a-f]{64}"),
    ({"device": "cuda:7"}, "device = 'cuda:7', but torch .* sees"),
    ({"begin": ""}, r"small.ckpt reads lsm beside what \[state\] has"),
])
def test_what_does_not_fit_is_refused_in_a_sentence(options, more, told):
    with pytest.raises(UserError, match=told):
        made(options, **more)


def test_a_file_that_is_no_checkpoint_is_refused_before_it_is_run(tmp_path):
    path = tmp_path / "plain.ckpt"
    torch.save(torch.nn.Linear(2, 2), path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(UserError, match=r"plain.ckpt: is no checkpoint for inference of Anemoi \("):
        made({"checkpoint": str(path), "sha256": sha256})


def test_channels_and_grids_that_do_not_fit_are_refused(options):
    with pytest.raises(UserError, match=r"small.ckpt gives no geopotential_925, "):
        made(options, builders.space(4, 8, (50_000.0, 92_500.0)))
    with pytest.raises(UserError, match=r"small.ckpt has 32 points, .*and \[grid\] is the 8 x 16 grid"):
        made(options, builders.space(8, 16, (50_000.0, 85_000.0)))
