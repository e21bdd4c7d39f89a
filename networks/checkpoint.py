"""A checkpoint never comes alone: weights (safetensors) and a model card (TOML) beside them.

    climax.safetensors   the network's parameters under their upstream names, and the constant input fields under
                         `constants.<name>` (lat, lon), because a network is only right with those it was trained with
    climax.toml          the card: variables and their order, sizes, grid and its orientation, lead time and its
                         scale, what is predicted, means and standard deviations, sha256 of the weights

Weights without a card, with another one's card, damaged, or with parameters that do not fit are refused.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np

from contracts import paths
from contracts.config import Section
from contracts.errors import UserError
from contracts.grid import Grid
from networks import normalization
from networks.normalization import CONSTANTS, LATITUDE, Moments

CONTRACT = "climax-card/1"
CONSTANT_PREFIX = "constants."
CLIMATOLOGY = "climatology"

Positive = Annotated[int, msgspec.Meta(ge=1)]
PositiveFloat = Annotated[float, msgspec.Meta(gt=0)]


class NetworkCard(Section, frozen=True):
    """[network] Sizes; `tokens` and `head` name, in order, all fields the network can take and give."""

    tokens: tuple[str, ...]
    head: tuple[str, ...]
    patch: Positive
    embed_dim: Positive
    depth: Positive
    heads: Positive
    decoder_depth: Annotated[int, msgspec.Meta(ge=0)] = 2
    mlp_ratio: PositiveFloat = 4.0


class GridCard(Section, frozen=True):
    """[grid] As in an experiment; `latitude` says which way rows run inside the network."""

    nlat: Positive
    nlon: Positive
    poles: bool = False
    latitude: Literal["ascending", "descending"] = "ascending"


class Damping(Section, frozen=True):
    """[damping] How much of an anomaly from the climatology the step carries on by itself; the network gives the rest.

    Of an anomaly of total wavenumber n exp(-n(n+1) / N(N+1)) is carried on, N the `truncation`, and of a channel in
    `factor` that much times it.
    """

    truncation: Positive
    factor: dict[str, Annotated[float, msgspec.Meta(ge=0, le=1)]] = {}


class Card(Section, frozen=True):
    """All that the weights do not say of themselves. Names are those of channels (`temperature_850`) and constants."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]+$")]
    network: NetworkCard
    grid: GridCard
    inputs: tuple[str, ...]  # fed to the network, each a token
    outputs: tuple[str, ...]  # taken from its head
    lead_hours: PositiveFloat
    lead_scale: PositiveFloat  # the network is given lead_hours / lead_scale
    predicts: Literal["tendency", "field"]
    normalization: dict[str, Moments]
    damping: Damping | None = None  # where the network predicts tendencies
    contract: Literal["climax-card/1"] = "climax-card/1"
    about: str = ""  # data, seed and command that made the weights
    warning: str = ""  # said whenever the weights are loaded
    sha256: str = ""  # of the weights; empty only before they are written

    def __post_init__(self):
        for what, names, allowed in (
            ("tokens", self.network.tokens, None), ("head", self.network.head, None),
            ("inputs", self.inputs, self.network.tokens), ("outputs", self.outputs, self.network.head),
        ):
            _refuse_names(what, names, allowed)
        normalization.refuse_missing(self.normalization, [*self.inputs, *self.outputs])
        unscaled = [name for name in self.outputs if self.normalization[name].tendency_std is None]
        if self.predicts == "tendency" and unscaled:
            raise ValueError(f"a tendency needs its tendency_std, missing for {', '.join(unscaled)}")
        if self.damping is not None:
            if self.predicts != "tendency":
                raise ValueError("damping belongs to a network that predicts the tendency; remove [damping]")
            if self.damping.factor:
                _refuse_names("damping of", tuple(self.damping.factor), self.outputs)

    @property
    def fed_back(self) -> tuple[str, ...]:
        """Inputs that must be among the outputs if the model is to be stepped."""
        return tuple(name for name in self.inputs if name not in CONSTANTS)

    @property
    def horizontal(self) -> Grid:
        return Grid.regular(self.grid.nlat, self.grid.nlon, self.grid.poles)


@dataclass(frozen=True)
class Checkpoint:
    """`weights` by upstream name; `constants` (lat, lon), ascending latitude, for those inputs that need them;
    `climatology` (output, lat, lon), in SI units, ascending latitude, where the card has a damping."""

    card: Card
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
        if self.card.damping is not None:
            expected, shape = (len(self.card.outputs), *grid.shape), np.shape(self.climatology)
            if self.climatology is None or shape != expected or not np.isfinite(self.climatology).all():
                raise ValueError(f"the damping needs a climatology with the weights, finite on {expected}, got {shape}")

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

    tensors = {name: np.ascontiguousarray(array, dtype) for name, array in checkpoint.weights.items()}
    constants = {
        CONSTANT_PREFIX + name: np.ascontiguousarray(checkpoint.constants[name], np.float32)
        for name in checkpoint.constant_inputs if name != LATITUDE
    }
    if checkpoint.climatology is not None:
        constants[CLIMATOLOGY] = np.ascontiguousarray(checkpoint.climatology, np.float32)
    content = save(tensors | constants)
    card = msgspec.structs.replace(checkpoint.card, sha256=hashlib.sha256(content).hexdigest())
    try:
        with paths.atomic(path) as partial:
            partial.write_bytes(content)
        with paths.atomic(card_path(path)) as partial:
            partial.write_text(to_toml(card))
    except OSError as error:
        raise UserError(f"{path}: could not be written ({error}); check the space left on the disk") from error
    return card


def read(path: Path) -> Checkpoint:
    """Weights in float32 with their card; raises UserError where one is missing, damaged or not the other's."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = Path(path)
    card = read_card(card_path(path), path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: the weights of this card cannot be read ({error.strerror})") from None
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
    constants = {
        name.removeprefix(CONSTANT_PREFIX): tensors.pop(name)
        for name in list(tensors) if name.startswith(CONSTANT_PREFIX)
    }
    climatology = tensors.pop(CLIMATOLOGY, None)
    try:
        return Checkpoint(card, tensors, constants, climatology)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None


def read_card(path: Path, whose: Path) -> Card:
    """The card at `path`; raises UserError where it is missing or says less than it must."""
    try:
        text = Path(path).read_text()
    except OSError:
        raise UserError(
            f"{whose}: has no model card {Path(path).name} beside it; weights alone do not say their variables, lead "
            "time or normalisation, so they are not used: put the card there, or make both with "
            "python -m networks convert"
        ) from None
    try:
        return msgspec.convert(tomllib.loads(text), Card)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UserError(f"{path}: is no model card: {str(error).replace('`', '')}") from None


def refuse_mismatch(whose: str, expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> None:
    """Raises UserError that names every parameter missing, unknown or of another shape."""
    faults = [f"missing {name} {shape}" for name, shape in expected.items() if name not in found]
    faults += [f"unknown {name} {shape}" for name, shape in found.items() if name not in expected]
    faults += [
        f"{name} {found[name]} instead of {shape}"
        for name, shape in expected.items() if name in found and tuple(found[name]) != tuple(shape)
    ]
    if faults:
        raise UserError(f"{whose}: the weights do not fit the network of their card: {'; '.join(faults)}")


def to_toml(card: Card) -> str:
    """The card as TOML; reading it back gives the same card to the last bit."""
    table = msgspec.to_builtins(card)
    sections = {name: table.pop(name) for name in ("grid", "network", "damping", "normalization")}
    sections = {name: content for name, content in sections.items() if content is not None}
    lines = [f"{name} = {_value(value)}" for name, value in table.items()]
    for section, content in sections.items():
        lines += ["", f"[{section}]", *(f"{_key(name)} = {_value(value)}" for name, value in content.items())]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return json.dumps(name)


def _value(value: object) -> str:
    """JSON writes strings, booleans and numbers as TOML does; None is left out."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_value(v)}" for name, v in value.items() if v is not None) + " }"
    if isinstance(value, list | tuple):
        items = [_value(item) for item in value]
        return "[" + "".join(f"\n    {item}," for item in items) + "\n]" if len(items) > 3 else f"[{', '.join(items)}]"
    return json.dumps(value)


def _refuse_names(what: str, names: tuple[str, ...], allowed: tuple[str, ...] | None) -> None:
    if not names or len(set(names)) != len(names):
        raise ValueError(f"{what} must name fields, each once")
    unknown = [name for name in names if allowed is not None and name not in allowed]
    if unknown:
        raise ValueError(f"{what} {', '.join(unknown)} are not among the network's own fields")
