"""ClimaX as a forecast model: a step against its definition, members in passes, what it refuses."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import torch

from contracts import state, times
from contracts.errors import UserError
from contracts.state import State, StateSpace
from model_server import models
from model_server.forecast import forecast, model_of
from model_server.models import climax
from model_server.models.base import Batch, identity_of, seen_by
from model_server.models.climax import memory
from model_server.models.stepped import Stepped
from model_server.validation import validate
from networks import checkpoint as checkpoints
from networks.climax import collapsed, stepping
from networks.climax.network import Architecture, ClimaX
from tests import builders
from tests.model_server.conftest import CHECKOUT
from tests.networks import climax_builders as made

CPU = torch.device("cpu")


def members(where: StateSpace, count: int) -> np.ndarray:
    return np.stack([builders.random_state(where, seed=number).data for number in range(count)])


def model(card, **options) -> Stepped:
    settings = climax.Options(checkpoint="", **options)
    return climax.model_of(made.checkpoint(card), made.small_space(), [CPU], "weights", settings)


def stepped(a_model: Stepped, data: np.ndarray) -> np.ndarray:
    return a_model.step(Batch(builders.TIME, data, (None,) * len(data))).data


def by_definition(card, data: np.ndarray, lead: float) -> np.ndarray:
    """The step in NumPy around the plain network."""
    where, checkpoint = made.small_space(), made.checkpoint(card)
    net, names = stepping.build(checkpoint), [channel.name for channel in where.channels]
    turn = slice(None, None, -1 if card.grid.latitude == "descending" else 1)
    known = {name: data[:, i] for i, name in enumerate(names)}
    known |= {name: np.broadcast_to(field, data[:, 0].shape) for name, field in checkpoint.constant_inputs.items()}
    moments = card.normalization
    x = np.stack([(known[n] - moments[n].mean) / moments[n].std for n in card.inputs], axis=1)[:, :, turn]
    variables = torch.tensor([card.network.tokens.index(name) for name in card.inputs])
    with torch.no_grad():
        y = net(torch.tensor(x.copy(), dtype=torch.float32), torch.full((len(data),), lead), variables).numpy()
    y = y[:, [card.network.head.index(name) for name in names]][:, :, turn]
    if card.network.predicts == "tendency":
        return data + y * np.array([moments[n].tendency_std for n in names])[:, None, None]
    return np.stack([moments[n].mean + moments[n].std * y[:, i] for i, n in enumerate(names)], axis=1)


@pytest.mark.parametrize("predicts", ["tendency", "field"])
@pytest.mark.parametrize("latitude", ["ascending", "descending"])
def test_a_step_is_what_the_card_says(predicts, latitude):
    card, data = made.card(made.small_space(), predicts, latitude), members(made.small_space(), 3)
    expected, scale = by_definition(card, data, lead=0.06), data.std(axis=(0, 2, 3), keepdims=True)
    assert np.abs(expected - data).max(axis=(0, 2, 3)).min() > 0  # every channel moves
    assert (np.abs(stepped(model(card), data) - expected) / scale).max() < 1e-4


def test_the_lead_time_is_told_in_the_scale_of_the_card():
    """Upstream trains with hours / 100; told 6.0 instead of 0.06 the same weights say something else."""
    card, data = made.card(made.small_space()), members(made.small_space(), 2)
    unscaled = made.card(made.small_space(), lead_scale=1.0)
    scale = data.std(axis=(0, 2, 3), keepdims=True)
    right, wrong = stepped(model(card), data), stepped(model(unscaled), data)
    assert (np.abs(wrong - by_definition(card, data, lead=6.0)) / scale).max() < 1e-4
    assert (np.abs(wrong - right) / scale).max() > 0.02 * (np.abs(right - data) / scale).max()


def test_the_time_step_is_the_lead_time():
    a_model = model(made.card(made.small_space(), lead_hours=12.0))
    batch = a_model.step(Batch(builders.TIME, members(made.small_space(), 1), (None,)))
    assert batch.time == builders.TIME + timedelta(hours=12)


@pytest.mark.parametrize("at_once", [1, 4])
def test_a_member_has_the_same_bits_whatever_it_is_batched_with(at_once):
    a_model, data = model(made.card(made.small_space()), at_once=at_once), members(made.small_space(), 5)
    together = stepped(a_model, data)
    for split in ([[0], [1], [2], [3], [4]], [[4, 2], [3, 0, 1]]):
        for numbers in split:
            np.testing.assert_array_equal(stepped(a_model, data[numbers]), together[numbers])


@pytest.mark.parametrize(("count", "at_once"), [(5, 1), (5, 2), (1, 2)])
def test_several_devices_give_the_bits_of_one(count, at_once):
    """Members go round the devices in turn; two lanes on the processor stand for two GPUs."""
    card, data = made.card(made.small_space()), members(made.small_space(), count)
    options = climax.Options(checkpoint="", at_once=at_once)
    several = climax.model_of(made.checkpoint(card), made.small_space(), [CPU, CPU], "weights", options)
    assert len(several.passes.lanes) == 2
    np.testing.assert_array_equal(stepped(several, data), stepped(model(card, at_once=at_once), data))


def test_a_pass_carries_what_fits_and_never_less_than_one_member():
    size = stepping.architecture(made.card(made.small_space()))
    one = memory.per_member(size)
    room = {0: 1, 0.5 * one: 1, 2.5 * one: 2, 9 * one: 5, 10 * one: 10, 1000 * one: 20}
    assert [memory.fitting(size, free) for free in room] == list(room.values())


def test_a_member_needs_no_more_than_its_estimate():
    """The widest tensors of the pass, measured: what the allocator of a GPU would hold at once."""
    size = Architecture(nlat=16, nlon=32, variables=9, outputs=8, embed_dim=64, depth=2, heads=8)
    net, x = ClimaX(size).eval(), torch.zeros(1, size.variables, size.nlat, size.nlon)
    aggregation = collapsed.aggregation(net, torch.tensor([0.06]))
    with torch.profiler.profile(profile_memory=True) as measured, torch.inference_mode():
        net.decode(net.trunk(aggregation.pooled(x)))
    held = peak = 0
    for event in measured.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    assert 0 < peak <= memory.per_member(size)


def test_a_space_that_the_weights_do_not_know_is_refused():
    card = made.card(made.small_space())
    checkpoint = made.checkpoint(card)
    with pytest.raises(UserError, match=r"does not predict geopotential_925.*surface_pressure.*\[state\]"):
        climax.model_of(checkpoint, builders.space(8, 16), [CPU], "weights", climax.Options())
    fewer = StateSpace(made.small_space().grid, made.small_space().channels[:-1])
    with pytest.raises(UserError, match="needs 2m_temperature among the channels"):
        climax.model_of(checkpoint, fewer, [CPU], "weights", climax.Options())
    with pytest.raises(UserError, match=r"expected states on the 8 x 16 grid.*got the 4 x 8 grid.*\[grid\]"):
        climax.model_of(checkpoint, builders.space(4, 8), [CPU], "weights", climax.Options())


def test_an_unknown_device_is_refused(tmp_path):
    checkpoints.write(tmp_path / "small.safetensors", made.checkpoint(made.card(made.small_space())))
    with pytest.raises(UserError, match="is no device"):
        models.create("climax", {"checkpoint": str(tmp_path / "small.safetensors"), "device": "abacus"},
                      made.small_space())


EXPERIMENT = """
[grid]
nlat = 8
nlon = 16
[state]
levels_hpa = [500, 850]
on_levels = ["geopotential", "temperature"]
at_surface = ["2m_temperature"]
[model]
name = "climax"
batch = 2
options = {{ checkpoint = "{checkpoint}" }}
"""


def test_the_forecast_command_steps_every_member_with_the_weights_of_a_file(experiment, tmp_path):
    where = made.small_space()
    card = made.card(where, about="random")
    checkpoints.write(tmp_path / "small.safetensors", made.checkpoint(card))
    settings = experiment(EXPERIMENT.format(checkpoint=tmp_path / "small.safetensors"))
    data, folder = members(where, 3), settings.experiment.folder
    for path, fields_of_member in zip(folder.at(builders.TIME).analysis.members(3), data, strict=True):
        state.write(path, State(where, fields_of_member, builders.TIME))
    forecast(settings, builders.TIME)
    later = builders.TIME + timedelta(hours=6)
    expected = stepped(climax.model_of(made.checkpoint(card), where, [CPU], "", climax.Options()), data)
    for path, member in zip(folder.at(later).background.members(3), expected, strict=True):
        np.testing.assert_array_equal(state.read(path, where, later).data, member)


@pytest.mark.parametrize(("first", "last", "refused"), [
    ("1988-01-01T00", "1989-01-01T00", False), ("1988-01-01T00", "1989-01-01T06", True),
    ("1989-01-01T12", "1989-01-01T12", True), ("1989-01-01T18", "1990-01-01T00", True),
    ("1989-01-02T00", "1990-01-01T00", False),
])
@pytest.mark.parametrize("more", ["", "spectral_filter = { truncation = 1 }\n"])
def test_an_experiment_in_times_that_its_weights_have_seen_is_refused(experiment, tmp_path, first, last, refused, more):
    seen = tuple(datetime.fromisoformat(f"{time}:00:00+00:00") for time in (first, last))
    long_before = (datetime(1980, 1, 1, tzinfo=UTC), datetime(1980, 12, 31, tzinfo=UTC))
    card = made.card(made.small_space(), seen=(long_before, seen))
    checkpoints.write(tmp_path / "small.safetensors", made.checkpoint(card))
    settings = experiment(EXPERIMENT.format(checkpoint=tmp_path / "small.safetensors") + more)
    if not refused:
        assert seen_by(model_of(settings)) == card.seen
        return
    told = f"climax-small.*states of {times.name(seen[0])} to {times.name(seen[1])}.*runs from 1989010106 to 1989010118"
    with pytest.raises(UserError, match=f"{told}.*seen = 'another_world'"):
        model_of(settings)
    elsewhere = experiment(EXPERIMENT.format(checkpoint=tmp_path / "small.safetensors") + more
                           + "seen = 'another_world'\n")
    assert seen_by(model_of(elsewhere)) == card.seen


def test_weights_that_have_seen_the_experiment_are_refused_when_it_is_looked_at_and_none_are_missed_then(
        experiment, tmp_path):
    """They may still have to be trained; and their numbers need not be here."""
    path, times_ = tmp_path / "small.safetensors", (datetime(1989, 1, 1, tzinfo=UTC), datetime(1990, 1, 1, tzinfo=UTC))
    experiment(EXPERIMENT.format(checkpoint=path))
    validate(tmp_path / "experiment.toml")
    checkpoints.write(path, made.checkpoint(made.card(made.small_space(), seen=(times_,))))
    path.unlink()
    with pytest.raises(UserError, match="climax: was made from states of 1989010100 to 1990010100"):
        validate(tmp_path / "experiment.toml")
    experiment(EXPERIMENT.format(checkpoint=path) + "seen = 'another_world'\n")
    validate(tmp_path / "experiment.toml")


def test_a_model_is_known_by_its_weights_and_precision_not_by_where_they_lie(tmp_path):
    where = made.small_space()

    def identity(name: str, seed: int = 0, **options: object):
        checkpoints.write(tmp_path / name, made.checkpoint(made.card(where), seed))
        options |= {"checkpoint": str(tmp_path / name)}
        return identity_of(models.create("climax", options, where), options)

    first = identity("a.safetensors")
    assert identity("b.safetensors", at_once=2, device="cpu") == first
    assert identity("a.safetensors", seed=1) != first != identity("b.safetensors", precision="bfloat16")


@pytest.mark.parametrize("command", ["forecast", "serve", "nature"])
def test_commands_do_not_import_torch_before_they_need_it(command):
    program = (
        "import sys; from model_server import __main__ as m\n"
        f"try: m.main(['{command}', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'jax', 'h5py', 'xarray', 'matplotlib')))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
