"""Earth2Studio's own models behind the protocol, in the environment of `make earth2studio` (`test_packages`)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch

from contracts.errors import UserError
from model_server import models
from model_server.models.base import Batch, advance, begun
from model_server.models.foreign.lexicon import EARTH2STUDIO
from tests import builders
from tests.model_server import cycling
from tests.model_server.foreign.earth2_network import Network

SPACE = builders.space(4, 8, (50_000.0, 85_000.0))
NAMES = [EARTH2STUDIO.name(channel.name) for channel in SPACE.channels]
HERE = "tests.model_server.foreign.earth2_network"
TIME = datetime(1989, 1, 1, 6, tzinfo=UTC)


def made(model: str, space=SPACE, **options):
    return models.create("earth2studio", {"model": model} | options, space)


def batch(model, members=(1, 2)) -> Batch:
    data = np.stack([builders.random_state(model.space, number).data for number in members])
    return begun(model, Batch(TIME, data, (None,) * len(members)), members, seed=1)


def network(space=SPACE) -> Network:
    torch.manual_seed(1)
    names = [EARTH2STUDIO.name(channel.name) for channel in space.channels]
    scale = [builders.CLIMATE[channel.variable][1] for channel in space.channels]
    return Network(names[::-1], space.grid.lat[::-1], space.grid.lon, scale[::-1])


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """A small network with random weights, in a folder as Earth2Studio's packages are."""
    folder = tmp_path_factory.mktemp("package")
    network().write(folder)
    return folder


@pytest.mark.parametrize("history", [1, 2])
def test_persistence_changes_no_bit(history):
    model = made("Persistence", arguments={"history": history})
    later = advance(model, batch(model))
    np.testing.assert_array_equal(later.data, batch(model).data)
    assert (model.history, model.time_step, later.time) == (history, timedelta(hours=6), TIME + timedelta(hours=6))


def test_a_network_steps_as_it_does_by_itself(package):
    model = made(f"{HERE}:Network", package=str(package))
    first = advance(model, batch(model))
    second = advance(model, first)
    assert model.history == 2 and np.abs(second.data - first.data).max() > 0

    plain = network().eval()  # the same seed makes the same weights
    with torch.inference_mode():
        for number in range(2):
            x = torch.from_numpy(np.stack([each[number, ::-1, ::-1] for each in (batch(model).data, first.data)]))
            seen = (x / plain.scale).flatten(0, 1)[None]
            seen = torch.cat([seen[..., -1:], seen, seen[..., :1]], -1)  # round the globe
            seen = torch.cat([seen[..., :1, :], seen, seen[..., -1:, :]], -2)
            later = x[-1] + 0.01 * plain.scale * torch.tanh(plain.convolution(seen))[0]
            np.testing.assert_allclose(second.data[number], later.numpy()[::-1, ::-1], rtol=1e-6, atol=1e-7)


def test_a_member_does_not_depend_on_its_neighbours_though_the_model_draws_and_knows_the_time(package):
    model = made(f"{HERE}:Clock", package=str(package))
    both = advance(model, batch(model))
    alone = advance(model, Batch(TIME, batch(model).data[1:], (None,), (2,), 1, batch(model).data[1:]))
    np.testing.assert_array_equal(alone.data[0], both.data[1])
    np.testing.assert_array_equal(advance(model, batch(model)).data, both.data)
    drawn = both.data[:, 0, 0, 0] - 6.0  # the hour, and a number of the member's
    assert ((drawn >= 0) & (drawn < 1)).all() and drawn[0] != drawn[1]


def test_batches_and_retention_change_no_bit_of_a_cycle(tmp_path, monkeypatch, package):
    monkeypatch.setenv("WORK", str(tmp_path))
    space = cycling.write(tmp_path, "persistence").space
    network(space).write(tmp_path / "package")
    options = f'options = {{ model = "{HERE}:Network", package = "{tmp_path}/package" }}'
    found = [cycling.cycle(cycling.first_ensemble(cycling.write(tmp_path, "earth2studio", name, size, more=options)),
                           kept=kept) for name, size, kept in (("whole", 4, True), ("single", 1, False))]
    cycling.same(found[1], found[0])


@pytest.mark.parametrize(("model", "options", "told"), [
    ("Persistance", {}, r"unknown model 'Persistance'; known: ACE2ERA5, .*did you mean 'Persistence'\?"),
    ("FCN", {}, r"weights of earth2studio's FCN are not here \(.*/fcn\): .*download them from hf://.* by `python -c "
                r"'from earth2studio.models.px.fcn import FCN; .*package a folder"),
    ("Pangu6", {"package": "nowhere"}, "package = 'nowhere': there is no folder nowhere"),
    ("Persistence", {"device": "cuda:7"}, "device = 'cuda:7', but torch .* sees"),
    ("Persistence", {"device": "abacus"}, "device = 'abacus' is no device; choose cpu, cuda"),
    ("Persistence", {"arguments": {"lag": 2}}, "cannot be made .*'lag'.*arguments of"),
    ("Persistence", {"arguments": {"history": 3}}, "needs 3 states to begin a step; the cycle carries at most two"),
    ("nowhere:it", {}, "model = 'nowhere:it': No module named 'nowhere'; expected mypackage.mymodule:name"),
    (f"{HERE}:FILE", {}, "cannot be made of what was downloaded"),
    (f"{HERE}:dict", {}, "has no attribute 'dict'"),
    (f"{HERE}:OrderedDict", {}, "is no prognostic model .*'input_coords'"),
    (f"{HERE}:leaping", {}, "gives 2 leads at once, 6:00:00, 12:00:00; expected one"),
    (f"{HERE}:skipping", {}, "reads states of -1 day, 12:00:00, 0:00:00; expected the present one"),
    (f"{HERE}:regional", {}, "stands on time, lead_time, variable, hrrr_y, hrrr_x; expected rows lat"),
])
def test_what_does_not_fit_is_refused_in_a_sentence(monkeypatch, tmp_path, model, options, told):
    monkeypatch.setenv("EARTH2STUDIO_CACHE", str(tmp_path))  # where nothing was downloaded to
    with pytest.raises(UserError, match=told):
        made(model, **options)


def test_channels_and_grids_that_do_not_fit_are_refused(package):
    with pytest.raises(UserError, match=r"Network gives no geopotential_925, .*it gives .*take out of \[state\]"):
        made(f"{HERE}:Network", builders.space(4, 8, (50_000.0, 92_500.0)), package=str(package))
    with pytest.raises(UserError, match=r"Network reads .*z850.* beside what \[state\] has: add to \[state\]"):
        made(f"{HERE}:Network", builders.space(4, 8, (50_000.0,)), package=str(package))
    with pytest.raises(UserError, match=r"Network has 32 points, .*and \[grid\] is the 8 x 16 grid"):
        made(f"{HERE}:Network", builders.space(8, 16, (50_000.0, 85_000.0)), package=str(package))
