"""A checkpoint never comes alone: weights (safetensors) and a model card (TOML) beside them.

    climax.safetensors   the network's parameters under their names (upstream's where there is one), and the constant
                         input fields under `constants.<name>` (lat, lon), because a network is only right with those
                         it was trained with
    climax.toml          the card (`networks.card`)

Weights without a card, with another one's card, damaged, or with parameters that do not fit are refused.  Weights that
were trained on in part name those that they began with as their `base`, and hold what differs from them.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Generic, Literal

import msgspec
import numpy as np

from contracts import paths
from contracts.errors import UserError
from networks import card as cards
from networks import starter
from networks.card import Card, Network
from networks.normalization import CONSTANTS, LATITUDE

CONSTANT_PREFIX = "constants."
CLIMATOLOGY = "climatology"
TOLD = 3  # of each kind of misfit; a network of another size has hundreds


@dataclass(frozen=True)
class Checkpoint(Generic[Network]):
    """`weights` by upstream name; `constants` (lat, lon), ascending latitude, for those inputs that need them;
    `climatology` (output, lat, lon), in SI units, ascending latitude, where the card has a damping."""

    card: Card[Network]
    weights: Mapping[str, np.ndarray]
    constants: Mapping[str, np.ndarray]
    climatology: np.ndarray | None = None

    def __post_init__(self):
        grid = self.card.horizontal
        for name in (name for name in self.card.inputs if name in CONSTANTS and name != LATITUDE):
            if name not in self.constants:
                raise ValueError(f"the input {name} is a constant field and is not among the weights")
            found = self.constants[name]
            if found.shape != grid.shape or not np.isfinite(found).all():
                raise ValueError(f"the constant {name} must be finite on {grid.shape}, got {found.shape}")
        if self.card.network.needs_climatology:
            expected, shape = (len(self.card.outputs), *grid.shape), np.shape(self.climatology)
            if self.climatology is None or shape != expected or not np.isfinite(self.climatology).all():
                raise ValueError(f"the network needs a climatology with the weights, finite on {expected}, got {shape}")

    @cached_property
    def constant_inputs(self) -> dict[str, np.ndarray]:
        """The constant inputs in their order, float32 (lat, lon)."""
        latitude = {LATITUDE: self.card.horizontal.column_lat.reshape(self.card.horizontal.shape)}
        known = latitude | dict(self.constants)
        return {name: np.asarray(known[name], np.float32) for name in self.card.inputs if name in CONSTANTS}


def card_path(weights: Path) -> Path:
    """The card of `climax.safetensors` is `climax.toml`."""
    return Path(weights).with_suffix(".toml")


def write(path: Path, checkpoint: Checkpoint, dtype: Literal["float16", "float32"] = "float32") -> Card:
    """Write weights, then the card with their checksum, each by rename; returns that card."""
    from safetensors.numpy import save

    base = _of_base(checkpoint.card)
    tensors = {name: np.ascontiguousarray(array, dtype) for name, array in checkpoint.weights.items()}
    constants = {
        CONSTANT_PREFIX + name: np.ascontiguousarray(checkpoint.constants[name], np.float32)
        for name in checkpoint.constant_inputs if name != LATITUDE
    }
    if checkpoint.climatology is not None:
        constants[CLIMATOLOGY] = np.ascontiguousarray(checkpoint.climatology, np.float32)
    content = save({name: array for name, array in (tensors | constants).items()
                    if not (name in base.tensors and np.array_equal(array, base.tensors[name]))})
    card = msgspec.structs.replace(checkpoint.card, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content),
                                   base_sha256=base.sha256)
    with paths.writing(path) as partial:
        partial.write_bytes(content)
    with paths.writing(card_path(path)) as partial:
        partial.write_text(cards.to_toml(card))
    return card


def read(path: Path) -> Checkpoint:
    """Weights in float32 with their card; raises UserError where one is missing, damaged or not the other's."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = Path(path)
    card = cards.read(card_path(path), path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: the weights of this card cannot be read ({error.strerror}){_remedy(card)}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != card.sha256:
        raise UserError(
            f"{path}: expected weights of sha256 {card.sha256[:12] or '(none)'}…, as the card says, got {found[:12]}…: "
            "the file is damaged or the card belongs to another one; copy both again"
        )
    try:
        tensors = {name: array.astype(np.float32) for name, array in load(content).items()}
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is no safetensors file ({error}); python -m networks convert makes one") from None
    base = _of_base(card)
    if base.sha256 != card.base_sha256:
        raise UserError(f"{path}: needs {card.base} of sha256 {card.base_sha256[:12]}…, which comes with the code, got "
                        f"{base.sha256[:12]}…{_remedy(card)}")
    tensors = dict(base.tensors) | tensors
    constants = {
        name.removeprefix(CONSTANT_PREFIX): tensors.pop(name)
        for name in list(tensors) if name.startswith(CONSTANT_PREFIX)
    }
    climatology = tensors.pop(CLIMATOLOGY, None)
    try:
        return Checkpoint(card, tensors, constants, climatology)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None


@dataclass(frozen=True)
class _Base:
    """What weights may leave out, all float32, and of which file it is."""

    tensors: Mapping[str, np.ndarray]
    sha256: str


def _of_base(card: Card) -> _Base:
    """Raises UserError where the card names weights that do not come with the code."""
    if not card.base:
        return _Base({}, "")
    found = read(starter.find(card.base, starter.WEIGHTS))
    fields = {CONSTANT_PREFIX + name: array for name, array in found.constants.items()}
    if found.climatology is not None:
        fields[CLIMATOLOGY] = found.climatology
    return _Base(dict(found.weights) | fields, found.card.sha256)


def _remedy(card: Card) -> str:
    """How weights that are not there can be had, as far as their card says."""
    if card.address:
        return "; python -m networks fetch, with the card, gets them"
    return f"; {card.command} makes them" if card.command else ""


def refuse_mismatch(whose: str, expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> None:
    """Raises UserError that counts parameters missing, unknown or of another shape, and names the first of each."""
    kinds = [
        [f"missing {name} {shape}" for name, shape in expected.items() if name not in found],
        [f"unknown {name} {shape}" for name, shape in found.items() if name not in expected],
        [f"{name} {found[name]} instead of {shape}"
         for name, shape in expected.items() if name in found and tuple(found[name]) != tuple(shape)],
    ]
    if not any(kinds):
        return
    told = [fault for faults in kinds for fault in (*faults[:TOLD], *([f"{len(faults) - TOLD} more like these"]
                                                                      if len(faults) > TOLD else []))]
    likely = _likely_prefix([name for name in found if name not in expected], expected)
    raise UserError(f"{whose}: the weights do not fit the network of their card, in {sum(map(len, kinds))} of "
                    f"{len(expected)} parameters: {'; '.join(told)}"
                    + (f"; all would fit without {likely!r} before their names" if likely else ""))


def _likely_prefix(unknown: Sequence[str], expected: Collection[str]) -> str:
    """What stands before most of the unknown names that would be known without it; nothing where that are few."""
    prefixes = Counter(name[: -len(known)] for name in unknown for known in expected if name.endswith(f".{known}"))
    prefix, count = prefixes.most_common(1)[0] if prefixes else ("", 0)
    return prefix if 2 * count > len(unknown) else ""
