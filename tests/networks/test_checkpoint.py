"""Checkpoints: weights with their card, and the way there from the files of the public code."""

import msgspec
import numpy as np
import pytest
import torch

from contracts import static
from contracts.errors import UserError
from contracts.static import Static
from networks import card as cards
from networks import checkpoint as checkpoints
from networks.checkpoint import Checkpoint, card_path
from networks.climax import convert, emulator, stepping
from networks.climax.network import ClimaX
from networks.normalization import LAND_SEA_MASK, OROGRAPHY
from tests.networks import climax_builders as made


@pytest.fixture
def card():
    return made.card(made.small_space(), about='made for a "test"', warning="")


@pytest.fixture
def written(tmp_path, card):
    path = tmp_path / "small.safetensors"
    checkpoints.write(path, made.checkpoint(card))
    return path


def test_write_then_read_is_the_identity(written, card):
    found, expected = emulator.load(written), made.checkpoint(card)
    assert msgspec.structs.replace(found.card, sha256="", bytes=0) == card
    assert set(found.weights) == set(expected.weights)
    for name, array in expected.weights.items():
        np.testing.assert_array_equal(found.weights[name], array)
    for name in (LAND_SEA_MASK, OROGRAPHY):
        np.testing.assert_array_equal(found.constants[name], expected.constants[name])


def test_half_precision_is_half_as_large_and_reads_as_single(tmp_path, written, card):
    half = tmp_path / "half.safetensors"
    checkpoints.write(half, made.checkpoint(card), "float16")
    assert half.stat().st_size < 0.65 * written.stat().st_size
    for name, array in emulator.load(half).weights.items():
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, made.checkpoint(card).weights[name], rtol=2**-11, atol=1e-7)


def test_weights_without_a_card_are_refused(written):
    card_path(written).unlink()
    with pytest.raises(UserError, match=r"small.safetensors: has no model card small.toml beside it"):
        emulator.load(written)


def test_a_card_without_weights_is_refused(written):
    written.unlink()
    with pytest.raises(UserError, match="the weights of this card cannot be read"):
        emulator.load(written)


@pytest.mark.parametrize(("fields", "said"), [
    ({"command": "python -m networks train e.toml"}, "; python -m networks train e.toml makes them"),
    ({"address": "http://127.0.0.1/x"}, "; python -m networks fetch, with the card, gets them"),
])
def test_a_card_says_how_weights_that_are_not_there_can_be_had(written, card, fields, said):
    written.unlink()
    card_path(written).write_text(cards.to_toml(msgspec.structs.replace(card, **fields)))
    with pytest.raises(UserError, match=said):
        emulator.load(written)


@pytest.mark.parametrize("place", [0, 3000, -1])
def test_a_flipped_bit_is_refused(written, place):
    content = bytearray(written.read_bytes())
    content[place] ^= 1
    written.write_bytes(content)
    with pytest.raises(UserError, match=r"expected weights of sha256 .*damaged"):
        emulator.load(written)


@pytest.mark.parametrize("size", [0, 7, 5000])
def test_a_truncated_file_is_refused_even_if_the_card_was_made_for_it(written, size):
    written.write_bytes(written.read_bytes()[:size])
    with pytest.raises(UserError, match="damaged"):
        emulator.load(written)
    import hashlib

    text = card_path(written).read_text()
    old = next(line for line in text.splitlines() if line.startswith("sha256"))
    new = f'sha256 = "{hashlib.sha256(written.read_bytes()).hexdigest()}"'
    card_path(written).write_text(text.replace(old, new))
    with pytest.raises(UserError, match="is no safetensors file"):
        emulator.load(written)


def test_another_ones_card_is_refused(tmp_path, written, card):
    other = tmp_path / "other.safetensors"
    checkpoints.write(other, made.checkpoint(card, seed=1))
    card_path(written).write_text(card_path(other).read_text())
    with pytest.raises(UserError, match="the card belongs to another one"):
        emulator.load(written)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (('"lead_scale" = 100.0', ""), "lead_scale"),
        (('"lead_hours" = 6.0', '"lead_hours" = -6.0'), "lead_hours"),
        (('"predicts" = "tendency"', '"predicts" = "something"'), "something"),
        (('"patch" = 2', '"patch" = 3'), "patch 3 does not divide the 8 x 16 grid"),
        (('"heads" = 4', '"heads" = 3'), "multiple of 4 and of heads = 3"),
        (('"temperature_850" = {', '"temperature_851" = {'), "lacks mean and std of temperature_850"),
        (("[grid]", "[grid]\ncolour = 1"), "colour"),
        (("[grid]", "[grid"), "is no model card"),
    ],
)
def test_a_card_that_says_too_little_or_nonsense_is_refused(written, change, sentence):
    text = card_path(written).read_text()
    assert change[0] in text
    card_path(written).write_text(text.replace(*change))
    with pytest.raises(UserError, match="small.toml.*" + sentence):
        emulator.load(written)


def test_every_parameter_that_does_not_fit_the_card_is_named(tmp_path, card):
    good = made.checkpoint(card)
    weights = dict(good.weights) | {"extra.weight": np.zeros(3, np.float32), "var_query": np.zeros((1, 2, 16), "f4")}
    del weights["norm.bias"]
    path = tmp_path / "odd.safetensors"
    checkpoints.write(path, Checkpoint(card, weights, good.constants))
    with pytest.raises(UserError) as caught:
        emulator.load(path)
    for part in ("missing norm.bias (16,)", "unknown extra.weight (3,)", "var_query (1, 2, 16) instead of (1, 1, 16)"):
        assert part in str(caught.value)


def test_the_warning_of_a_card_is_said_at_loading(tmp_path, caplog):
    path = tmp_path / "raw.safetensors"
    checkpoints.write(path, made.checkpoint(made.card(made.small_space(), warning="fine-tune me")))
    emulator.load(path)
    assert "fine-tune me" in caplog.text


def test_a_killed_writer_leaves_no_pair_that_loads(tmp_path, card, monkeypatch):
    """The card is written last: new weights beside an old card do not pass for a checkpoint."""
    path = tmp_path / "small.safetensors"
    checkpoints.write(path, made.checkpoint(card))
    monkeypatch.setattr(cards, "to_toml", lambda card: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        checkpoints.write(path, made.checkpoint(card, seed=1))
    with pytest.raises(UserError, match="belongs to another one"):
        emulator.load(path)


# --- convert ---


@pytest.fixture
def static_path(tmp_path, card):
    constants = made.checkpoint(card).constants
    path = tmp_path / "static.nc"
    static.write(path, Static(made.small_space().grid, constants[OROGRAPHY], constants[LAND_SEA_MASK]))
    return path


def draft_card(tmp_path, card):
    path = tmp_path / "draft.toml"
    path.write_text("".join(line for line in cards.to_toml(card).splitlines(True) if "sha256" not in line))
    return path


def lightning_file(path, weights: dict, prefix: str, older: bool = False, **more):
    """As Lightning writes it: prefixed names; older files say channel_embed for var_embed."""
    named = {name.replace("var_", "channel_") if older else name: tensor for name, tensor in weights.items()}
    torch.save({"state_dict": {prefix + name: tensor for name, tensor in named.items()}, "epoch": 3, **more}, path)
    return path


def tensors(card) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in made.checkpoint(card).weights.items()}


def serial(weights: dict) -> dict:
    weights = dict(weights)
    stacked, biases = weights.pop("token_embeds.proj_weights"), weights.pop("token_embeds.proj_biases")
    for i, (weight, bias) in enumerate(zip(stacked, biases, strict=True)):
        weights |= {f"token_embeds.{i}.proj.weight": weight.clone(), f"token_embeds.{i}.proj.bias": bias.clone()}
    return weights


@pytest.mark.parametrize("prefix", ["net.", "net.climax.", ""])
@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("layout", ["parallel", "serial"])
def test_a_lightning_file_becomes_the_same_network(tmp_path, card, static_path, prefix, older, layout):
    weights = tensors(card) if layout == "parallel" else serial(tensors(card))
    source = lightning_file(tmp_path / "l.ckpt", weights, prefix, older)
    target = tmp_path / "converted.safetensors"
    convert.main([str(source), str(target), "--card", str(draft_card(tmp_path, card)), "--static", str(static_path)])
    converted, expected = emulator.load(target), made.checkpoint(card)
    x = torch.randn(1, 8, 8, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        outputs = [stepping.build(one)(x, torch.tensor([0.06])) for one in (converted, expected)]
    assert torch.equal(*outputs)
    np.testing.assert_array_equal(converted.constants[OROGRAPHY], expected.constants[OROGRAPHY])


def test_only_prefixes_are_stripped():
    found = convert.renamed(dict.fromkeys(("net.a.net.b", "channel_query", "my.channel"), torch.zeros(1)))
    assert set(found) == {"a.net.b", "var_query", "my.channel"}
    with pytest.raises(UserError, match="holds var_query twice"):
        convert.renamed({"net.channel_query": torch.zeros(1), "net.var_query": torch.zeros(1)})


def test_a_file_that_does_not_fit_names_every_key(tmp_path, card, static_path):
    weights = tensors(card)
    weights["head.9.weight"] = weights.pop("head.4.weight")
    source = lightning_file(tmp_path / "l.ckpt", weights, "net.")
    with pytest.raises(UserError, match=r"missing head.4.weight .*unknown head.9.weight"):
        convert.main([str(source), str(tmp_path / "x.safetensors"), "--card", str(draft_card(tmp_path, card)),
                      "--static", str(static_path)])
    assert not (tmp_path / "x.safetensors").exists()


class Harmless:
    """Something that is no tensor."""


def test_a_pickle_that_could_run_code_is_loaded_only_when_asked(tmp_path, card):
    source = lightning_file(tmp_path / "l.ckpt", tensors(card), "net.", hyper_parameters=Harmless())
    with pytest.raises(UserError, match="--trust-pickle"):
        convert.load(source)
    assert set(convert.load(source, trust_pickle=True)) == {"net." + name for name in tensors(card)}


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut"])
def test_a_damaged_file_is_refused_in_one_sentence(tmp_path, content):
    path = tmp_path / "bad.ckpt"
    path.write_bytes(content)
    with pytest.raises(UserError, match="bad.ckpt") as caught:
        convert.load(path)
    assert "\n" not in str(caught.value)


def test_positions_of_another_grid_are_interpolated_only_when_asked(tmp_path, card, static_path):
    weights = tensors(card)
    coarse = torch.linspace(0, 1, 2).repeat_interleave(4)[None, :, None].expand(1, 8, 16)  # 2 x 4 places, by row
    weights["pos_embed"] = coarse.clone()
    source = lightning_file(tmp_path / "l.ckpt", weights, "net.")
    arguments = [str(source), str(tmp_path / "x.safetensors"), "--card", str(draft_card(tmp_path, card)),
                 "--static", str(static_path)]
    with pytest.raises(UserError, match=r"pos_embed \(1, 8, 16\) instead of \(1, 32, 16\)"):
        convert.main(arguments)
    convert.main([*arguments, "--interpolate-positions"])
    found = emulator.load(tmp_path / "x.safetensors").weights["pos_embed"].reshape(4, 8, 16)
    assert (np.diff(found[:, 0, 0]) > 0).all()  # the first axis is still the row
    assert np.ptp(found, axis=1).max() < 1e-6


def test_normalisation_comes_from_the_files_of_the_public_code(tmp_path, card):
    names = [*card.inputs]
    upstream = {"latitude": "lattitude"}
    for what, value in (("mean", 3.0), ("std", 2.0)):
        np.savez(tmp_path / f"normalize_{what}.npz", **{upstream.get(n, n): np.array([value + i])
                                                        for i, n in enumerate(names)})
    text = cards.to_toml(made.card(made.small_space(), "field", about=card.about)).split("[normalization]")[0]
    (tmp_path / "draft.toml").write_text(text)
    found = convert.draft(tmp_path / "draft.toml", tmp_path).normalization
    assert (found[names[2]].mean, found[names[2]].std) == (5.0, 4.0)
    assert found["latitude"].mean == 3.0 + names.index("latitude")


def test_what_was_pre_trained_on_cmip6_says_that_it_must_be_fine_tuned(tmp_path, card):
    pre_trained = msgspec.structs.replace(card, about="official 5.625 degree file, pre-trained on CMIP6")
    assert "fine-tune it before cycling" in convert.draft(draft_card(tmp_path, pre_trained)).warning
    assert convert.draft(draft_card(tmp_path, card)).warning == ""


def test_nothing_is_converted_without_a_card(tmp_path, card):
    source = lightning_file(tmp_path / "l.ckpt", tensors(card), "net.")
    with pytest.raises(UserError, match="weights need one"):
        convert.main([str(source), str(tmp_path / "x.safetensors"), "--card", str(tmp_path / "nowhere.toml")])
    with pytest.raises(UserError, match="land_sea_mask is a constant field.*--static"):
        convert.main([str(source), str(tmp_path / "x.safetensors"), "--card", str(draft_card(tmp_path, card))])


def test_the_meta_network_has_the_shapes_of_a_real_one(card):
    real = ClimaX(stepping.architecture(card), "serial").state_dict()
    assert stepping.shapes(card, "serial") == {name: tuple(tensor.shape) for name, tensor in real.items()}


def test_prefixes_of_wrappers_are_stripped_and_a_gradient_does_no_harm(tmp_path, card):
    weights = {name: torch.nn.Parameter(tensor.clone()) for name, tensor in tensors(card).items()}
    for prefix in ("module.", "_orig_mod.net.", "module._orig_mod.net.climax."):
        source = lightning_file(tmp_path / "l.ckpt", weights, prefix)
        assert set(convert.renamed(convert.load(source))) == set(weights)


def test_a_long_misfit_is_a_short_sentence_with_the_likely_prefix(tmp_path):
    expected = {f"block.{number}.weight": (3,) for number in range(200)}
    with pytest.raises(UserError) as told:
        checkpoints.refuse_mismatch("w", expected, {f"student.{name}": shape for name, shape in expected.items()})
    assert "in 400 of 200 parameters" in str(told.value) and "197 more like these" in str(told.value)
    assert str(told.value).endswith("all would fit without 'student.' before their names")
    assert len(str(told.value)) < 500
