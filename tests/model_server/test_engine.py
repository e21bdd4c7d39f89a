"""ClimaX by ONNX Runtime: the forecasts of PyTorch, with a graph that is made once and never one of something else."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import numpy as np
import pytest

from contracts import frozen, state, times
from contracts.errors import UserError
from contracts.stages import Run
from contracts.state import State
from model_server import cache, models
from model_server.config import Model, ResidualNoise
from model_server.forecast import forecast
from model_server.models import archive, climax
from model_server.models.base import Batch, seen_by
from model_server.validation import validate
from networks import checkpoint as checkpoints
from networks.card import Damping
from networks.checkpoint import Checkpoint
from networks.climax import emulator
from networks.climax.sizes import NoiseSizes
from networks.onnx import export
from networks.onnx.export import Step
from tests import builders
from tests.model_server.test_climax import CPU, EXPERIMENT, members
from tests.networks import climax_builders as made

SPACE = made.small_space()


@pytest.fixture
def weights(exported) -> Checkpoint:
    return exported[0]


@pytest.fixture(autouse=True)
def exports(exported, tmp_path, monkeypatch) -> list[Step]:
    """An empty cache; the steps whose graph was asked for, which is always that of `weights`."""
    asked: list[Step] = []
    content = exported[1].read_bytes()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(export, "graph_of", lambda step: (asked.append(step), content)[1])
    return asked


def step(found: Checkpoint) -> Step:
    return Step(emulator.emulator(found, SPACE, "it"))


def model(found: Checkpoint, engine: str = "onnxruntime", **options):
    return climax.model_of(found, SPACE, [CPU], "it", climax.Options(engine=engine, **options))


def later(a_model, data: np.ndarray) -> np.ndarray:
    return a_model.step(Batch(builders.TIME, data, (None,) * len(data))).data


def test_its_forecasts_are_those_of_pytorch_to_the_rounding_of_float32(weights):
    data = members(SPACE, 5)
    ours, theirs = model(weights), model(weights, "torch")
    expected, found = later(theirs, data), later(ours, data)
    error = np.abs(found - expected).max(axis=(0, 2, 3))
    assert error[SPACE.index("temperature")].max() < 2e-4 and error[SPACE.index("geopotential")].max() < 0.05  # K, J/kg
    assert np.abs(expected - data)[:, SPACE.index("temperature")].max() > 1  # of a change that is one
    assert (ours.name, ours.time_step, ours.history, ours.keeps_restart, seen_by(ours)) == (
        theirs.name, theirs.time_step, theirs.history, theirs.keeps_restart, weights.card.seen)


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_member_has_the_same_bits_whatever_it_is_batched_with(weights, at_once):
    data = members(SPACE, 5)
    whole = later(model(weights, at_once=at_once, threads=2), data)
    for threads, rows in ((1, [4, 0, 2]), (2, [3])):
        np.testing.assert_array_equal(later(model(weights, at_once=at_once, threads=threads), data[rows]), whole[rows])


def test_residuals_of_the_same_weights_serve_both_engines_and_no_other_weights(weights):
    settings = ResidualNoise(archive="a", nature="n", first=builders.TIME, last=builders.TIME)
    one, other = (replace(weights, card=msgspec.structs.replace(weights.card, sha256=of)) for of in ("a1", "b2"))
    by_torch, ours, of_others = (archive.contents(a_model, Model(), settings) for a_model in (
        model(one, "torch"), model(one), model(other)))
    assert by_torch == ours != of_others


def kept(tmp_path):
    (path,) = (tmp_path / "cache" / "model_server").iterdir()
    return path


def test_a_graph_is_made_once_and_again_where_it_is_damaged(weights, exports, tmp_path, caplog):
    data = members(SPACE, 1)
    first = later(model(weights), data)
    assert len(exports) == 1
    np.testing.assert_array_equal(later(model(weights), data), first)
    assert len(exports) == 1
    whole = kept(tmp_path).read_bytes()
    for damaged in (whole[:-1], whole[:200] + bytes([whole[200] ^ 1]) + whole[201:], b""):
        kept(tmp_path).write_bytes(damaged)
        np.testing.assert_array_equal(later(model(weights), data), first)
        assert kept(tmp_path).read_bytes() == whole and "damaged and is made again" in caplog.text
    assert len(exports) == 4


def test_a_graph_of_other_numbers_is_another(weights, exports, monkeypatch):
    def changed(weights=weights.weights, **card) -> Checkpoint:
        of = made.card(SPACE, latitude="descending", **card)
        return Checkpoint(of, weights, found.constants, found.climatology if "damping" in card else None)

    found, damping = weights, weights.card.network.damping
    one = {**weights.weights, "head.0.bias": np.nextafter(weights.weights["head.0.bias"], np.float32(9))}
    others = [changed(one, damping=damping), changed(), changed(damping=Damping(truncation=3)),
              changed(damping=damping, lead_hours=12.0),
              replace(found, climatology=found.climatology + np.float32(1))]
    paths = {cache.path("x", ".onnx", export.follows_from(step(each))) for each in (found, *others)}
    assert len(paths) == 1 + len(others)
    assert cache.path("x", ".onnx", export.follows_from(step(found))) in paths  # and the same is the same
    monkeypatch.setattr(export.metadata, "version", lambda library: "other")
    assert cache.path("x", ".onnx", export.follows_from(step(found))) not in paths


def test_where_nothing_can_be_kept_the_forecast_is_made_all_the_same(weights, exports, tmp_path, caplog):
    (tmp_path / "cache").write_text("no folder")
    for number in (1, 2):
        model(weights)
        assert len(exports) == number
    assert "every process will make it again" in caplog.text


@pytest.mark.parametrize("wrong", ['precision = "bfloat16"', 'device = "cuda"'])
def test_what_it_does_not_do_is_refused_when_the_settings_are_looked_at(experiment, tmp_path, wrong):
    asked = f'options = {{ engine = "onnxruntime", {wrong}, '
    experiment(EXPERIMENT.format(checkpoint="climax_t31").replace("options = { ", asked))
    with pytest.raises(UserError, match="computes in float32 on a CPU, got precision.*leave both out, or choose"):
        validate(tmp_path / "experiment.toml")


def test_without_its_packages_it_is_refused_with_the_extra_that_brings_them(monkeypatch):
    monkeypatch.setattr(climax, "find_spec", lambda package: None if package == "onnxscript" else True)
    models.check("climax", {}, "model")
    with pytest.raises(UserError, match=r"needs onnxscript, not installed here: pip install 'letkf-mpi\[onnx\]'"):
        models.check("climax", {"engine": "onnxruntime"}, "model")


def test_a_network_with_noise_is_refused(exports):
    found = made.checkpoint(made.card(SPACE, noise=NoiseSizes(local=1, common=1, blocks=1)))
    with pytest.raises(UserError, match='draws random numbers at each step.*choose .model.options. engine = "torch"'):
        model(found)
    assert not exports


def test_states_that_do_not_fit_are_refused_though_a_graph_is_kept(weights):
    model(weights)
    with pytest.raises(UserError, match="does not predict geopotential_925"):
        climax.model_of(weights, builders.space(8, 16), [CPU], "it", climax.Options(engine="onnxruntime"))
    with pytest.raises(UserError, match="expected states on the 8 x 16 grid"):
        climax.model_of(weights, builders.space(4, 8), [CPU], "it", climax.Options(engine="onnxruntime"))


def test_an_experiment_goes_on_with_the_engine_that_it_was_begun_with(experiment, tmp_path, weights):
    checkpoints.write(tmp_path / "small.safetensors", weights)
    text = EXPERIMENT.format(checkpoint=tmp_path / "small.safetensors")
    settings = experiment(text.replace(" }", ', engine = "onnxruntime" }'))
    data, folder = members(SPACE, 3), settings.experiment.folder
    for path, fields in zip(folder.at(builders.TIME).analysis.members(3), data, strict=True):
        state.write(path, State(SPACE, fields, builders.TIME))
    begun = (tmp_path / "experiment.toml").read_text()
    frozen.freeze(begun, settings.experiment, Run(), "code")
    forecast(settings, builders.TIME)
    when = builders.TIME + timedelta(hours=6)
    found = [state.read(path, SPACE, when).data for path in folder.at(when).background.members(3)]
    np.testing.assert_array_equal(found, later(model(weights), data))
    with pytest.raises(UserError, match=rf"options: this experiment was begun with .*{times.name(when)}.* depends on"):
        frozen.freeze(begun.replace("onnxruntime", "torch"), settings.experiment, Run(), "code")


def test_bfloat16_is_warned_of_where_the_processor_does_not_multiply_it(weights, monkeypatch, caplog):
    for fast in (True, False):
        monkeypatch.setattr(climax.bfloat16, "is_multiplied_by", lambda device, fast=fast: fast)
        model(weights, "torch", precision="bfloat16")
        assert ("has no instructions that multiply it" in caplog.text) is not fast
    caplog.clear()
    model(weights, "torch")
    assert not caplog.text
