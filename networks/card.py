"""What weights do not say of themselves: a model card (`card/2`, TOML), the same for all kinds but for [network].

    contract = "card/2"
    name, about, command        what it is, on what data, and the command that makes it again
    seen                        first and last times of states that training or the choice of weights saw
    inputs, outputs             fields in their order: channels (`temperature_850`), constants (`orography`), and what
                                follows from channels (`relative_humidity_850`, an input only)
    scores                      what to expect of them
    sha256, bytes, address      of the weights, and where they can be had, if anywhere
    base, base_sha256           weights that come with the code and hold what these leave out, if any
    [grid]                      as in an experiment, and which way rows run inside the network
    [network]                   kind = "climax" and what that kind says of itself
    [normalization]             moments of each field

Cards of before (`climax-card/1`) are read as what they mean.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec

from contracts import texts
from contracts.config import Columns, GridSettings, Name, NotNegative, Rows, Section
from contracts.errors import UserError
from contracts.grid import Grid
from networks import diagnosed, kinds, normalization
from networks.normalization import CONSTANTS, Moments

BEFORE = "climax-card/1"
SECTIONS = ("grid", "network", "normalization")
OF_CLIMAX = ("lead_hours", "lead_scale", "predicts", "damping")  # which stood beside [network] before


class GridCard(GridSettings, frozen=True):
    """[grid] As in an experiment, the sizes always said; `latitude` says which way rows run inside the network."""

    nlat: Rows
    nlon: Columns
    latitude: Literal["ascending", "descending"] = "ascending"

    @classmethod
    def of(cls, grid: GridSettings) -> "GridCard":
        """Of a network whose rows run as those of an experiment."""
        nlat, nlon = grid.grid().shape
        return cls(**msgspec.structs.asdict(grid) | {"nlat": nlat, "nlon": nlon})


class Damping(Section, frozen=True):
    """How much of an anomaly from the climatology the step carries on by itself; the network gives the rest.

    Of an anomaly of total wavenumber n exp(-n(n+1) / N(N+1)) is carried on, N the `truncation`, and of a channel in
    `factor` that much times it.
    """

    truncation: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
    factor: dict[str, Annotated[float, msgspec.Meta(ge=0, le=1)]] = {}


class NetworkCard(Section, frozen=True, tag_field="kind"):
    """[network] What a kind of network says of itself; a subclass has the kind as its tag."""

    def refuse_misfit(self, card: "Card") -> None:
        """Raises ValueError where the rest of the card does not belong to this network."""

    @property
    def needs_climatology(self) -> bool:
        """Whether the mean of the training data must come with the weights."""
        return False


Network = TypeVar("Network", bound=NetworkCard)


class Card(Section, Generic[Network], frozen=True):
    """All that the weights do not say of themselves."""

    name: Name
    grid: GridCard
    network: Network
    inputs: tuple[str, ...]  # fed to the network
    outputs: tuple[str, ...]  # taken from it
    normalization: dict[str, Moments]
    contract: Literal["card/2"] = "card/2"
    about: str = ""  # data, seed and code that made the weights
    command: str = ""  # that makes them again
    seen: tuple[tuple[datetime, datetime], ...] = ()  # first and last times, of training and of the choice of weights
    warning: str = ""  # said whenever the weights are loaded
    sha256: str = ""  # of the weights; empty only before they are written
    bytes: NotNegative = 0  # of the file of weights; 0 where the card does not say
    scores: dict[str, float] = {}  # what to expect of the weights: RMSE by `channel_lead`, SI units, and the like
    address: str = ""  # http(s) or file address of the weights, where they are not beside the card
    base: str = ""  # name of weights that come with the code: parameters and fields that are not in the file are theirs
    base_sha256: str = ""  # of those; empty only before they are written

    def __post_init__(self):
        refuse_names("inputs", self.inputs)
        refuse_names("outputs", self.outputs)
        normalization.refuse_missing(self.normalization, [*self.inputs, *self.outputs])
        if followed := [name for name in self.outputs if diagnosed.sources(name)]:
            raise ValueError(f"outputs {', '.join(followed)} follow from other channels; take them out")
        self.network.refuse_misfit(self)

    @property
    def fed_back(self) -> tuple[str, ...]:
        """Channels that must be among the outputs if the model is to be stepped: inputs, or what they follow from."""
        needed = (diagnosed.sources(name) or (name,) for name in self.inputs if name not in CONSTANTS)
        return tuple(dict.fromkeys(channel for names in needed for channel in names))

    @property
    def horizontal(self) -> Grid:
        return self.grid.grid()

    @property
    def kind(self) -> str:
        return str(self.network.__struct_config__.tag)


def read(path: Path, whose: Path) -> Card:
    """The card at `path`; raises UserError where it is missing or says less than it must."""
    try:
        text = texts.read(path)
    except OSError:
        raise UserError(
            f"{whose}: has no model card {Path(path).name} beside it; weights alone do not say their variables, lead "
            "time or normalisation, so they are not used: put the card there, or make both with "
            "python -m networks convert"
        ) from None
    try:
        return of_table(texts.table(text, "it"))
    except (msgspec.ValidationError, UserError) as error:
        raise UserError(f"{path}: is no model card: {str(error).replace('`', '')}") from None


def of_table(table: Mapping[str, Any]) -> Card:
    """The card that a table of TOML holds; raises msgspec.ValidationError or UserError, an unknown kind."""
    table = _as_now(table)
    network = table.get("network")
    kind = network.get("kind") if isinstance(network, dict) else None
    if not isinstance(kind, str):
        raise UserError('[network] says no kind, such as kind = "climax"')
    return msgspec.convert(table, Card[kinds.module(kind).NetworkCard])  # type: ignore[misc]


def _as_now(table: Mapping[str, Any]) -> dict[str, Any]:
    """A card of before as it would be written today: what was ClimaX's own goes into [network]."""
    table, network = dict(table), table.get("network")
    if table.get("contract", BEFORE) != BEFORE or not isinstance(network, dict) or "kind" in network:
        return table
    moved = {name: table.pop(name) for name in OF_CLIMAX if name in table}
    return table | {"contract": "card/2", "network": {"kind": "climax", **network, **moved}}


def to_toml(card: Section, sections_of: Sequence[str] = SECTIONS) -> str:
    """The card as TOML; reading it back gives the same card to the last bit."""
    table = msgspec.to_builtins(card)
    sections = {name: table.pop(name) for name in sections_of}
    lines = [f"{name} = {_value(value)}" for name, value in table.items()]
    for section, content in sections.items():
        lines += ["", f"[{section}]"]
        lines += [f"{_key(name)} = {_value(value)}" for name, value in content.items() if value is not None]
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


def refuse_names(what: str, names: tuple[str, ...], allowed: tuple[str, ...] | None = None) -> None:
    """Raises ValueError where `names` are none, not each once, or not among those `allowed`."""
    if not names or len(set(names)) != len(names):
        raise ValueError(f"{what} must name fields, each once")
    unknown = [name for name in names if allowed is not None and name not in allowed]
    if unknown:
        raise ValueError(f"{what} {', '.join(unknown)} are not among the network's own fields")
