"""Weights of the public ClimaX code (a Lightning .ckpt) into our form: safetensors with a model card.

The user writes the card, or names one in `networks/climax/cards`, because nothing in the file says what it must say;
only sha256 is left out, and [normalization] where the `normalize_mean.npz` and `normalize_std.npz` of the public code
are given.  On the way

    net.climax.x, net.x -> x        as prefixes only, also behind those of DistributedDataParallel (module.) and
                                    torch.compile (_orig_mod.)
    channel…            -> var…     older files name the variables' embedding, query and aggregation so
    pos_embed                       interpolated to the card's grid, when asked

Everything left must fit the card's network by name and shape; every name that does not is told.
"""

import logging
import pickle
from collections.abc import Mapping, Sequence
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from contracts import guarded, program, static, texts
from contracts.errors import UserError
from networks import card as cards
from networks import checkpoint as checkpoints
from networks.card import Card
from networks.checkpoint import Checkpoint
from networks.climax.card import ClimaXCard
from networks.normalization import LAND_SEA_MASK, LATITUDE, OROGRAPHY

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger("networks.convert")
CARDS = Path(__file__).parent / "cards"  # ready ones
PREFIXES = ("net.climax.", "net.", "module.", "_orig_mod.")  # a longer one before its beginning
UPSTREAM_NAMES = {LATITUDE: "lattitude"}  # how normalize_mean.npz spells it
PRE_TRAINED = "CMIP6"


def main(arguments: Sequence[str]) -> None:
    parser = program.parser(
        "python -m networks convert",
        "Turn a ClimaX Lightning checkpoint into safetensors with a model card.  The card, a TOML file that you "
        "write\n(networks/climax/README.md shows one) or one of those that come with the code, is completed and put "
        f"beside\nthe weights.  Cards that come with it: {', '.join(ready())}.\nThe official files are "
        "pre-trained on CMIP6 with random lead times: fine-tune them before cycling.",
        "python -m networks convert 5.625deg.ckpt weights/climax.safetensors --card official_5.625deg \\\n"
        "      --normalization 5.625deg_npz",
    )
    parser.add_argument("source", type=Path, metavar="CKPT", help="the Lightning checkpoint")
    parser.add_argument("target", type=Path, metavar="WEIGHTS.safetensors", help="where the weights go")
    parser.add_argument("--card", type=Path, required=True,
                        help="the model card, without sha256, or the name of one that comes with the code")
    parser.add_argument("--static", type=Path, help="static.nc with the orography and mask that are inputs")
    parser.add_argument("--normalization", type=Path, metavar="FOLDER",
                        help="take the moments from normalize_mean.npz and normalize_std.npz there")
    parser.add_argument(
        "--interpolate-positions", action="store_true", help="interpolate pos_embed to the card's grid (bicubic)"
    )
    parser.add_argument("--float16", action="store_true", help="store half precision")
    parser.add_argument("--trust-pickle", action="store_true",
                        help="load a file that holds more than tensors; such a file can run any code")
    options = parser.parse_args(arguments)
    card = draft(options.card, options.normalization)
    weights = renamed(load(options.source, options.trust_pickle))
    if options.interpolate_positions:
        weights = with_positions(weights, card)
    write(options.target, card, weights, options.static, options.float16)


def ready() -> list[str]:
    """Names of the cards that come with the code."""
    return sorted(path.name.removesuffix(".toml") for path in CARDS.glob("*.toml"))


def write(target: Path, card: Card[ClimaXCard], weights: Mapping[str, "Tensor"], static_path: Path | None,
          half: bool = False) -> None:
    """Check weights against the card and write both; raises UserError that names every parameter that does not fit."""
    from networks.climax import stepping

    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    try:
        expected = stepping.shapes(card, stepping.layout_of(list(found)))
    except ValueError as error:
        raise UserError(f"the card: {error}") from None
    checkpoints.refuse_mismatch(str(target), expected, found)
    arrays = {name: tensor.detach().float().numpy() for name, tensor in weights.items()}
    try:
        checkpoint = Checkpoint(card, arrays, _constants(card, static_path))
    except ValueError as error:
        raise UserError(f"{target}: {error}; name the file with --static") from None
    checkpoints.write(target, checkpoint, "float16" if half else "float32")
    count = sum(array.size for array in arrays.values())
    log.info("%s: %d parameters in %d tensors, card %s", target, count, len(arrays), checkpoints.card_path(target))
    if card.warning:
        log.warning("%s: %s", target, card.warning)


def load(path: Path, trust_pickle: bool = False) -> dict[str, "Tensor"]:
    """The state_dict of a Lightning file, or a bare one; raises UserError where it cannot be loaded safely.

    A process with limits loads it first: whatever is in the file, it is told in a sentence.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected a Lightning checkpoint")
    guarded.read(_try, path, trust_pickle)
    return _loaded(path, trust_pickle)


def _try(path: Path, trust_pickle: bool) -> None:
    _loaded(path, trust_pickle)


def _loaded(path: Path, trust_pickle: bool) -> dict[str, "Tensor"]:
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=not trust_pickle)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path}: is damaged or holds more than tensors ({_first_line(error)}); if you trust its origin, "
            "--trust-pickle loads it, which lets the file run any code"
        ) from None
    except Exception as error:  # whatever a damaged archive or pickle raises
        raise UserError(f"{path}: is no readable checkpoint ({_first_line(error)})") from None
    weights = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise UserError(f"{path}: expected a state_dict of tensors, got {type(weights).__name__} of other things")
    return weights


def renamed(weights: Mapping[str, "Tensor"]) -> dict[str, "Tensor"]:
    """Names as the network has them; raises UserError where two become one."""
    result: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        plain = _plain(name)
        if plain.startswith("channel"):
            plain = "var" + plain.removeprefix("channel")
        if plain in result:
            raise UserError(f"the checkpoint holds {plain} twice, once as {name}")
        result[plain] = tensor
    return result


def _plain(name: str) -> str:
    """A name without all that others put before it."""
    prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), None)
    return name if prefix is None else _plain(name.removeprefix(prefix))


def with_positions(weights: Mapping[str, "Tensor"], card: Card[ClimaXCard]) -> dict[str, "Tensor"]:
    """`pos_embed` (1, L, D) of a grid with twice as many columns as rows, bicubic, on the card's grid."""
    from torch.nn import functional

    if "pos_embed" not in weights:
        raise UserError("the checkpoint holds no pos_embed to interpolate")
    old = weights["pos_embed"].detach()
    rows = isqrt(old.shape[1] // 2)
    if 2 * rows * rows != old.shape[1]:
        raise UserError(f"pos_embed has {old.shape[1]} places, which is no grid with twice as many columns as rows")
    shape = (card.grid.nlat // card.network.patch, card.grid.nlon // card.network.patch)
    image = old.float().unflatten(1, (rows, 2 * rows)).permute(0, 3, 1, 2)
    resized = functional.interpolate(image, shape, mode="bicubic", align_corners=False)
    return dict(weights) | {"pos_embed": resized.permute(0, 2, 3, 1).flatten(1, 2)}


def draft(path: Path, normalization: Path | None = None) -> Card[ClimaXCard]:
    """The user's card or a ready one, completed from upstream's normalisation files if named; raises UserError."""
    if str(path) in ready():
        path = CARDS / f"{path}.toml"
    try:
        table = texts.table(texts.read(path), str(path))
    except OSError as error:
        raise UserError(f"{path}: no model card can be read there ({error.strerror}); weights need one, of your own or "
                        f"one of {', '.join(ready())}") from None
    if normalization is not None:
        table["normalization"] = _moments(normalization, [*table.get("inputs", ()), *table.get("outputs", ())])
    if PRE_TRAINED.lower() in str(table.get("about", "")).lower() and not table.get("warning"):
        table["warning"] = f"pre-trained on {PRE_TRAINED} with random lead times; fine-tune it before cycling"
    try:
        return cards.of_table(table | {"sha256": ""})
    except (msgspec.ValidationError, UserError) as error:
        raise UserError(f"{path}: is no model card: {str(error).replace('`', '')}") from None


def _moments(folder: Path, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    try:
        mean, std = (np.load(folder / f"normalize_{what}.npz") for what in ("mean", "std"))
        found = {}
        for name in dict.fromkeys(names):
            key = UPSTREAM_NAMES.get(name, name)
            found[name] = {"mean": float(mean[key].item()), "std": float(std[key].item())}
    except (OSError, KeyError, ValueError) as error:
        raise UserError(
            f"{folder}: expected normalize_mean.npz and normalize_std.npz, one number per field: {error}"
        ) from None
    return found


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _constants(card: Card[ClimaXCard], path: Path | None) -> dict[str, np.ndarray]:
    if path is None:
        return {}
    fields = static.read(path, card.horizontal)
    return {LAND_SEA_MASK: fields.land_sea_mask, OROGRAPHY: fields.orography}
