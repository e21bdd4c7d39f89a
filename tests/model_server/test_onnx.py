"""Models in the ONNX format: a step against its definition in NumPy, tensors of other shapes, two states, what is
refused, and ClimaX as a graph."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from onnx.external_data_helper import set_external_data

from contracts import static, times
from contracts.errors import UserError
from contracts.grid import Grid
from contracts.state import StateSpace
from contracts.static import Static
from model_server import models
from model_server.models import climax as ours
from model_server.models.base import Batch, identity_of, seen_by
from model_server.validation import validate
from networks import forcings
from networks.climax.sizes import NoiseSizes
from networks.onnx import card as cards
from networks.onnx import export
from tests import builders
from tests.model_server import graphs
from tests.model_server.cycling import STEP, cycle, same
from tests.networks import climax_builders as made

SPACE = StateSpace.of(Grid.regular(4, 8), (50_000.0,), ("temperature", "geopotential"), ("2m_temperature",))
SHAPE = SPACE.grid.shape
NAMES = [channel.name for channel in SPACE.channels]
GIVEN = NAMES[::-1]  # by the graph, not in the order of the state
FED = [*GIVEN, *(f"{name}_before" for name in NAMES), "insolation", "orography", "land_sea_mask", "latitude"]
MOMENTS = """
[normalization]
temperature_500 = { mean = 260.0, std = 10.0, tendency_std = 2.0 }
geopotential_500 = { mean = 50000.0, std = 900.0 }
insolation = { mean = 300.0, std = 400.0 }
"""


def batch(count: int = 3, two: bool = False, where: StateSpace = SPACE) -> Batch:
    data, before = (np.stack([builders.random_state(where, seed + i).data for i in range(count)]) for seed in (0, 50))
    return Batch(builders.TIME, data, (None,) * count, before=before if two else None)


def model(path: Path, space: StateSpace = SPACE, **options):
    return models.create("onnx", {"file": str(path), "threads": 2, **options}, space)


def plain(folder: Path, names: list[str] = NAMES, **more) -> Path:
    """A graph that doubles its channels, with its card; the folder's name is any."""
    path = folder / "model.onnx"
    graphs.mixing(path, 2 * np.eye(len(names)), SHAPE, **more)
    path.with_suffix(".toml").write_text(graphs.card({"x": names}, {"y": names}, SHAPE))
    return path


@pytest.mark.parametrize(("predicts", "latitude"), [("field", "ascending"), ("tendency", "descending")])
def test_a_step_is_what_the_card_says(tmp_path, predicts, latitude):
    path, fields = tmp_path / "model.onnx", np.random.default_rng(3).random((2, *SHAPE))
    matrix = np.random.default_rng(4).standard_normal((len(GIVEN), len(FED))) / len(FED)
    graphs.mixing(path, matrix, SHAPE)
    static.write(tmp_path / "ground.nc", Static(SPACE.grid, 1000 * fields[0], fields[1]))
    path.with_suffix(".toml").write_text(graphs.card(
        {"x": FED}, {"y": GIVEN}, SHAPE, f'predicts = "{predicts}"\nstatic = "ground.nc"',
        f'latitude = "{latitude}"', MOMENTS))
    found, given = model(path), batch(two=True)
    assert (found.history, found.time_step, found.name) == (2, STEP, "onnx-made")

    sun = forcings.insolation(np.array([times.to_seconds(given.time)]), SPACE.grid)[0]
    known = dict(zip(NAMES, given.data.swapaxes(0, 1), strict=True)) | {
        f"{name}_before": field for name, field in zip(NAMES, given.before.swapaxes(0, 1), strict=True)}
    known |= {name: np.broadcast_to(field, (3, *SHAPE)) for name, field in (
        ("insolation", sun), ("orography", 1000 * fields[0]), ("land_sea_mask", fields[1]),
        ("latitude", SPACE.grid.lat[:, None]))}
    scale = {"temperature_500": (260, 10, 2), "geopotential_500": (5e4, 900, 1), "insolation": (300, 400, 1)}
    x = np.stack([(known[name] - m) / s for name in FED for m, s, _ in [scale.get(name.removesuffix("_before"),
                                                                                  (0, 1, 1))]], axis=1)
    y = dict(zip(GIVEN, np.einsum("mn,bnij->mbij", matrix, x), strict=True))
    expected = np.stack([given.data[:, i] + scale.get(name, (0, 1, 1))[2] * y[name] if predicts == "tendency" else
                         scale.get(name, (0, 1, 1))[0] + scale.get(name, (0, 1, 1))[1] * y[name]
                         for i, name in enumerate(NAMES)], axis=1)
    np.testing.assert_allclose(found.step(given).data, expected, rtol=1e-5, atol=1e-3)


def test_tensors_may_have_levels_for_themselves_and_no_members(tmp_path):
    """As Pangu's: (variable, level, lat, lon) and (variable, lat, lon)."""
    where = StateSpace.of(SPACE.grid, (50_000.0, 85_000.0), ("temperature", "geopotential"), ("2m_temperature",))
    names, path = [channel.name for channel in where.channels], tmp_path / "model.onnx"
    shapes = {"upper": (2, 2, *SHAPE), "surface": (1, *SHAPE)}
    graphs.written(path, [helper.make_node("Add", [name, name], [f"{name}_later"]) for name in shapes], shapes,
                   {f"{name}_later": shape for name, shape in shapes.items()})
    path.with_suffix(".toml").write_text(graphs.card(
        {"upper": names[:4], "surface": names[4:]}, {"upper_later": names[:4], "surface_later": names[4:]}, SHAPE))
    given = batch(where=where)
    np.testing.assert_array_equal(model(path, where, at_once=4).step(given).data, 2 * given.data)


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_member_has_the_same_bits_whatever_it_is_batched_with(tmp_path, at_once):
    path, given = plain(tmp_path), batch(5)
    whole = model(path, at_once=at_once).step(given).data
    for threads, rows in ((1, [4, 0, 2]), (2, [3])):
        some = Batch(given.time, given.data[rows], (None,) * len(rows))
        np.testing.assert_array_equal(model(path, at_once=at_once, threads=threads).step(some).data, whole[rows])


def test_a_graph_of_a_fixed_number_of_members_gets_that_many(tmp_path):
    given = batch(5)
    found = model(plain(tmp_path, members=2))
    assert found.at_once == 2
    np.testing.assert_array_equal(found.step(given).data, 2 * given.data)


def test_two_states_through_the_cycle_are_those_of_the_same_model_in_python(begin, tmp_path):
    python = begin("inertia", "python")
    names, shape = [channel.name for channel in python.space.channels], python.space.grid.shape
    path = tmp_path / "weights" / "inertia.onnx"
    graphs.inertia(path, len(names), shape)
    path.with_suffix(".toml").write_text(graphs.card(
        {"now": names, "before": [f"{name}_before" for name in names]}, {"y": names}, shape))
    same(cycle(begin("onnx", "graph", 3, more=f'options = {{ file = "{path}" }}')), cycle(python))


def test_a_graph_may_hold_its_card_and_says_what_it_is(tmp_path):
    text = graphs.card({"x": NAMES}, {"y": NAMES}, SHAPE, "seen = [[1979-01-01T00:00:00Z, 2017-12-31T18:00:00Z]]")
    path = tmp_path / "model.onnx"
    graphs.mixing(path, np.eye(3), SHAPE, card=text)
    found, given = model(path), batch()
    np.testing.assert_array_equal(found.step(given).data, given.data)
    assert seen_by(found)[0][0].year == 1979 and set(identity_of(found, {})) == {"weights"}
    card = cards.of_text(text, "it")
    assert cards.of_text(cards.to_toml(card), "it") == card


REFUSED = [
    (("temperature_500", "temprature_500"), "unknown field 'temprature_500'.*did you mean"),
    (("y = [", 'y = ["temperature_500_before", '), "unknown field 'temperature_500_before'"),
    (('x = ["temperature_500", ', "x = ["), r"input x: expected 2 channels on 4 x 8 points.*got \(any, 3, 4, 8\)"),
    (("nlat = 4", "nlat = 6"), "expected 3 channels on 6 x 8 points"),
    (("x = [", "z = ["), "has no input 'z', which its card names; it has x"),
    (("y = [", "z = ["), "has no output 'z', which its card names; it has y"),
    (("[outputs]", 'u = ["insolation"]\n[outputs]'), "has no input 'u'"),
    (('y = ["temperature_500", ', "y = ["), "temperature_500 go in and do not come out"),
    (("lead_hours = 6", 'lead_hours = 6\nsha256 = "00aa"'), "expected a graph of sha256 00aa…, as its card says"),
    (("lead_hours = 6", "lead_hour = 6"), "is no card of a graph: .*lead_hour"),
    (("nlon = 8", "nlon = 8\npoles = true"), "expected states on the .*check .grid., or give the model its own"),
]


@pytest.mark.parametrize(("change", "said"), REFUSED, ids=[said[:30] for _, said in REFUSED])
def test_a_card_that_does_not_fit_is_refused(tmp_path, change, said):
    path = plain(tmp_path)
    beside = path.with_suffix(".toml")
    beside.write_text(beside.read_text().replace(*change))
    with pytest.raises(UserError, match=said):
        model(path)


def test_states_that_do_not_fit_are_refused(tmp_path):
    path, grid = plain(tmp_path), SPACE.grid
    with pytest.raises(UserError, match=r"does not give geopotential_850; it gives temperature_500.*check \[state\]"):
        model(path, StateSpace.of(grid, (50_000.0, 85_000.0), ("geopotential",), ()))
    with pytest.raises(UserError, match=r"is fed with 2m_temperature, which \[state\] does not hold"):
        model(path, StateSpace.of(grid, (50_000.0,), ("temperature", "geopotential"), ()))
    with pytest.raises(UserError, match='device = "cuda", but ONNX Runtime .* has only'):
        model(path, device="cuda")


def outside(path: Path, location: str) -> None:
    """The graph's weights moved to a file of another folder."""
    whole = onnx.load(path)
    set_external_data(whole.graph.initializer[0], location)
    whole.graph.initializer[0].ClearField("raw_data")
    path.write_bytes(whole.SerializeToString())


@pytest.mark.parametrize(("spoil", "said"), [
    (lambda path: path.unlink(), "no such file; expected a graph of ONNX"),
    (lambda path: path.write_bytes(b"\x08\xff no graph"), "is no graph of ONNX|does not take it"),
    (lambda path: path.write_bytes(path.read_bytes()[:60]), "is no graph of ONNX|does not take it"),
    (lambda path: graphs.mixing(path, np.eye(3), SHAPE, opset=99),
     "has opset 99, IR 9, which ONNX Runtime .* export it"),
    (lambda path: graphs.written(path, [helper.make_node("Nonsense", ["x"], ["y"])], {"x": (1, 3, *SHAPE)},
                                 {"y": (1, 3, *SHAPE)}), "ONNX Runtime .* does not take it"),
    (lambda path: path.with_suffix(".toml").unlink(), "no card is there .*a graph does not say its channels"),
    (lambda path: outside(path, "../passwords"), r"asks for weights in \.\./passwords, outside of its folder"),
    (lambda path: outside(path, "/etc/passwd"), "asks for weights in /etc/passwd, outside of its folder"),
    (lambda path: outside(path, "weights.bin"), "its weights in weights.bin are not there; copy that file beside it"),
])
def test_a_file_that_is_none_is_refused_in_a_sentence(tmp_path, spoil, said):
    path = plain(tmp_path / "there")
    spoil(path)
    with pytest.raises(UserError, match=said) as told:
        model(path)
    assert "\n" not in str(told.value) and str(path.parent) in str(told.value)


def test_times_that_the_card_has_seen_are_refused_at_prepare(experiment, tmp_path):
    path = plain(tmp_path)
    beside = path.with_suffix(".toml")
    beside.write_text("seen = [[1980-01-01T00:00:00Z, 1990-01-01T00:00:00Z]]\n" + beside.read_text())
    settings = experiment(f'[model]\nname = "onnx"\noptions = {{ file = "{path}" }}\n')
    with pytest.raises(UserError, match="another_world"):
        validate(tmp_path / "experiment.toml")
    assert settings.model.name == "onnx"


def test_climax_as_a_graph_makes_the_forecasts_of_pytorch(exported):
    found, path, card = exported
    where = made.small_space()
    given = batch(5, where=where)
    torch_model = ours.model_of(found, where, [torch.device("cpu")], "it", ours.Options(checkpoint=""))
    expected, later = torch_model.step(given).data, model(path, where).step(given).data
    error = np.abs(later - expected).max(axis=(0, 2, 3))
    assert error[where.index("temperature")].max() < 2e-4 and error[where.index("geopotential")].max() < 0.05  # K, J/kg
    assert np.abs(expected - given.data)[:, where.index("temperature")].max() > 1  # of a change that is one
    assert b"stack_trace" not in path.read_bytes()  # nor where the code lies
    assert card == cards.read(path.with_suffix(".toml")) and card.seen == found.card.seen


def test_a_network_with_noise_is_not_exported(tmp_path):
    card = made.card(made.small_space(), noise=NoiseSizes(local=1, common=1, blocks=1))
    with pytest.raises(UserError, match="draws random numbers at each step"):
        export.export(made.checkpoint(card), tmp_path / "x.onnx")


class Two(torch.nn.Module):
    """A network of two states and the sun: what it adds to the present one."""

    def __init__(self, channels: int):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Conv2d(2 * channels + 1, 16, 1), torch.nn.Tanh(),
                                          torch.nn.Conv2d(16, channels, 1))

    def forward(self, x):
        return self.layers(x)


def test_a_network_of_two_states_cycles_with_the_same_bits_in_any_batches(begin, tmp_path):
    space = begin("persistence").space
    names, path = [channel.name for channel in space.channels], tmp_path / "two.onnx"
    torch.manual_seed(0)
    network = Two(len(names)).eval()
    example = torch.zeros(2, 2 * len(names) + 1, *space.grid.shape)
    torch.onnx.export(network, (example,), dynamo=True, input_names=["x"], output_names=["y"], verbose=False,
                      dynamic_shapes=({0: torch.export.Dim("member", min=1)},)).save(path)
    fed = [*names, *(f"{name}_before" for name in names), "insolation"]
    moments = {channel.name: builders.CLIMATE[channel.variable] for channel in space.channels}
    path.with_suffix(".toml").write_text(graphs.card({"x": fed}, {"y": names}, space.grid.shape,
                                                     'predicts = "tendency"', more="\n".join([
        "[normalization]", "insolation = { mean = 300.0, std = 400.0 }",
        *(f"{name} = {{ mean = {mean}, std = {std}, tendency_std = {0.1 * std} }}"
          for name, (mean, std) in moments.items())])))

    given = batch(two=True, where=space)
    mean, std = (np.array([moments[name][i] for name in names])[:, None, None] for i in (0, 1))
    sun = (forcings.insolation(np.array([times.to_seconds(given.time)]), space.grid) - 300) / 400
    x = np.concatenate([(given.data - mean) / std, (given.before - mean) / std, np.stack([sun] * 3)], axis=1)
    with torch.no_grad():
        expected = given.data + 0.1 * std * network(torch.tensor(x, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(model(path, space).step(given).data, expected, rtol=1e-5, atol=1e-4)

    more = f'options = {{ file = "{path}" }}'
    whole, single = (cycle(begin("onnx", name, size, more=more)) for name, size in (("whole", 4), ("single", 1)))
    same(single, whole)
    assert any("before" in name for name in whole)
