"""A kind of network from a package outside the tree trains by the same loop: it brings a card, settings and a task."""

import numpy as np
import pytest

from contracts.errors import UserError
from networks import checkpoint as checkpoints
from networks import train
from networks.passes import emulator_of
from networks.training import config
from tests.networks import training_case
from tests.networks.training_case import TRAINING, table

CLIMAX = "patch = 2\nembed_dim = 32\ndepth = 1\nheads = 4\n"
OURS = """
from dataclasses import dataclass
import torch
from contracts.config import Section
from networks import card
from networks.checkpoint import Checkpoint
from networks.training import samples
from networks.training.task import Batch, Data, Roles, Score, Validated

class NetworkCard(card.NetworkCard, frozen=True, tag="squeeze"):
    rank: int

class Settings(Section, frozen=True):
    rank: int = 2

@dataclass
class Squeeze:
    "A linear autoencoder of normalised states: no forecast, no second time in a sample."
    settings: object
    sizes: Settings
    data: Data
    network: torch.nn.Module
    roles: Roles = Roles(hidden=frozenset(("0.weight", "1.weight")))

    def span(self, phase):
        return 0

    def loss(self, batch, place):
        moments = [self.data.statistics.moments[c.name] for c in self.settings.space.channels]
        mean, std = (torch.tensor([getattr(m, what) for m in moments])[:, None, None] for what in ("mean", "std"))
        x = ((torch.from_numpy(batch.fields[0]) - mean) / std).flatten(1)
        return (self.network(x) - x).square().mean()

    def scores(self, place):
        unseen = samples.read(self.data.series, self.data.series.starts(*self.settings.validation, 21600, 0))
        with torch.no_grad():
            loss = float(self.loss(unseen, place))
        return Validated(loss, (Score(0, "state", "forecast", loss**0.5, 0.0),))

    def references(self):
        return [Score(0, "state", "mean", 1.0, 0.0)]

    def checkpoint(self, best):
        names = tuple(c.name for c in self.settings.space.channels)
        made = card.Card(name="s", grid=card.GridCard(nlat=8, nlon=16), network=NetworkCard(rank=self.sizes.rank),
                         inputs=names, outputs=names, normalization=self.data.statistics.moments)
        return Checkpoint(made, {name: tensor.numpy() for name, tensor in best.items()}, {})

def make_task(settings, sizes, data):
    torch.manual_seed(settings.experiment.seed)
    size = 5 * 8 * 16
    return Squeeze(settings, sizes, data, torch.nn.Sequential(torch.nn.Linear(size, sizes.rank),
                                                              torch.nn.Linear(sizes.rank, size)))
"""


@pytest.fixture
def squeeze(work, tmp_path, monkeypatch):
    """squeeze(name) -> an experiment file with a network that an installed package brings."""
    (tmp_path / "squeeze.py").write_text(OURS)
    (tmp_path / "squeeze-1.dist-info").mkdir()
    (tmp_path / "squeeze-1.dist-info/entry_points.txt").write_text("[networks.kinds]\nsqueeze = squeeze\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("WORK", str(work))

    def file(name: str, network: str = 'kind = "squeeze"\nrank = 4\n', more: str = ""):
        text = TRAINING.format(name=name, epochs=4, more=f"optimiser = 'muon'\n{more}")
        path = work / f"{name}.toml"
        path.write_text(text.replace(CLIMAX, network).replace("learning_rate = 4e-3", "learning_rate = 5e-2"))
        return path

    return file


def test_it_learns_and_leaves_weights_with_a_card_of_its_kind(squeeze):
    path = squeeze("squeezed")
    train.main([str(path)])
    settings = config.load(path)
    rows = table(settings.folder / "curves.csv")
    assert float(rows[-1]["validation_loss"]) < 0.5 * float(rows[0]["training_loss"])
    assert [row["kind"] for row in table(settings.folder / "scores.csv")] == ["forecast"] * len(rows) + ["mean"]
    found = checkpoints.read(settings.folder / "squeezed.safetensors")
    assert found.card.kind == "squeeze" and found.card.network.rank == 4
    assert set(found.weights) == {"0.weight", "0.bias", "1.weight", "1.bias"}


def test_killed_and_resumed_it_ends_with_the_same_bits(squeeze, monkeypatch):
    whole, cut = squeeze("unbroken"), squeeze("broken", more="save_minutes = 1e-9")
    train.main([str(whole)])
    training_case.killed_and_resumed(cut, 17, monkeypatch)
    paths = [config.load(path).folder / f"{path.stem}.safetensors" for path in (whole, cut)]
    first, second = (checkpoints.read(path).weights for path in paths)
    for name, array in first.items():
        np.testing.assert_array_equal(second[name], array)


@pytest.mark.parametrize(("network", "said"), [
    ('kind = "oracle"\n', "unknown kind of network 'oracle'; known: .*climax.*squeeze"),
    ('kind = "squeeze"\npatch = 2\n', r"unknown setting 'patch' of the kind squeeze; known: rank"),
    ('kind = "squeeze"\nrank = "two"\n', "of the kind squeeze: Expected `int`"),
])
def test_settings_that_no_kind_knows_are_refused(squeeze, network, said):
    with pytest.raises(UserError, match=said):
        config.load(squeeze("odd", network))


def test_weights_that_make_no_forecasts_say_so(squeeze):
    path = squeeze("still")
    train.main([str(path)])
    settings = config.load(path)
    with pytest.raises(UserError, match="a network of the kind squeeze makes no forecasts"):
        emulator_of(settings.folder / "still.safetensors", settings.space)
