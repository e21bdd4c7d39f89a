"""What a graph does not say of itself: a card (`onnx-card/1`, TOML), short enough to be written by hand.

    contract = "onnx-card/1"
    name = "fourcast"
    lead_hours = 6                 from the present state to the next
    predicts = "field"             or "tendency", x + tendency_std · y
    static = "static.nc"           beside the card, `static/1`: where an input is orography or land_sea_mask
    seen, about, sha256            as in the cards of our networks; all may be left out

    [grid]
    nlat = 721
    nlon = 1440
    poles = true
    latitude = "descending"        rows of the graph from the north
    [inputs]                       tensors of the graph by name, and what their channels are, in order (`networks.feed`)
    x = ["temperature_850", "temperature_850_before", "insolation"]
    [outputs]
    y = ["temperature_850"]
    [normalization]                of a graph that takes no SI units; what is not named goes in and out as it is
    temperature_850 = { mean = 274.5, std = 15.6 }

A tensor is (batch, channel, lat, lon), or has levels or times as an axis of their own, or no batch: the channels are
the product of all axes before the last two.  What comes out is x · std + mean, or the tendency.
"""

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from contracts import texts
from contracts.config import Name, PositiveFloat, Section
from contracts.errors import UserError
from contracts.grid import Grid
from networks import card as cards
from networks import feed
from networks.card import GridCard
from networks.normalization import Moments

SECTIONS = ("grid", "inputs", "outputs", "normalization")
METADATA = "card"  # key under which a graph may hold it


class OnnxCard(Section, frozen=True):
    """A graph's card."""

    name: Name
    grid: GridCard
    inputs: dict[str, tuple[str, ...]]
    outputs: dict[str, tuple[str, ...]]
    lead_hours: PositiveFloat
    contract: Literal["onnx-card/1"] = "onnx-card/1"
    predicts: Literal["field", "tendency"] = "field"
    normalization: dict[str, Moments] = {}
    static: str = ""
    about: str = ""
    seen: tuple[tuple[datetime, datetime], ...] = ()
    sha256: str = ""  # of the graph's file; checked where it is said

    def __post_init__(self):
        for what, tensors in (("inputs", self.inputs), ("outputs", self.outputs)):
            names = [name for named in tensors.values() for name in named]
            if not names or len(set(names)) != len(names):
                raise ValueError(f"{what} must name fields, each once")
            feed.refuse_unknown(names, of_channels=what == "outputs")
        if opened := [name for name in self.fed if (channel := feed.channel_of(name)) and channel not in self.given]:
            raise ValueError(f"{', '.join(opened)} go in and do not come out, so that no second step can follow")

    @property
    def fed(self) -> tuple[str, ...]:
        """All inputs, tensor by tensor."""
        return tuple(name for names in self.inputs.values() for name in names)

    @property
    def given(self) -> tuple[str, ...]:
        """All outputs, tensor by tensor."""
        return tuple(name for names in self.outputs.values() for name in names)

    @property
    def history(self) -> int:
        """States that a step needs."""
        return 2 if any(map(feed.is_before, self.fed)) else 1

    @property
    def horizontal(self) -> Grid:
        return self.grid.grid()


def read(path: Path) -> OnnxCard:
    """The card at `path`; raises UserError where it says less than it must."""
    try:
        return of_text(texts.read(path), str(path))
    except OSError as error:
        raise UserError(f"{path}: no card is there ({error.strerror}); a graph does not say its channels, grid and "
                        "lead time: write them there (model_server/README.md), or name the card in [model.options]"
                        ) from None


def of_text(text: str, whose: str) -> OnnxCard:
    """The card that a text holds."""
    table: dict[str, Any] = texts.table(text, whose)
    try:
        return msgspec.convert(table, OnnxCard)
    except msgspec.ValidationError as error:
        raise UserError(f"{whose}: is no card of a graph: {str(error).replace('`', '')}") from None


def to_toml(card: OnnxCard) -> str:
    return cards.to_toml(card, SECTIONS)
