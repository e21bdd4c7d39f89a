"""What the card of a network that forecasts from observations says of it, and the section [network] of a training."""

from typing import Annotated

import msgspec

from contracts.config import NotNegative, Positive, Section
from networks.card import Card, NetworkCard
from networks.normalization import CONSTANTS
from networks.o2l.card import Share, Widths

Part = Annotated[float, msgspec.Meta(ge=0, lt=1)]


class Settings(Section, frozen=True):
    """[network] of a training, beside `kind = "o2f"`; its step is that of the experiment."""

    footprints: str  # what stations see, in the work folder; python -m neural_da.footprints makes them
    known: Share = 0.25  # of the stations must see a channel for it to be forecast
    times: Positive = 2  # at which the stations observe before a forecast, one step apart
    dropped: Share = 0.6  # at most so many of the stations of a sample observe nothing, drawn evenly from 0 on
    withheld: Part = 0.1  # of the stations neither observe nor verify: they tell how good it is elsewhere
    memory: NotNegative = 16  # fields that the network hands on to itself beside what stations see
    widths: Widths = (48, 96, 128)  # features of each level, whose grid is half of the one before
    blocks: NotNegative = 2  # of two convolutions, at each level on the way down and up


class O2FCard(NetworkCard, frozen=True, tag="o2f"):
    """[network] Sizes, and what it was trained with."""

    step_hours: Positive
    times: Positive
    memory: NotNegative
    widths: Widths
    blocks: NotNegative
    seasons: Positive  # functions of the date in its climate
    footprints: str
    dropped: Share
    withheld: Part
    seed: int  # by which stations are withheld

    def refuse_misfit(self, card: Card) -> None:
        if card.inputs != (*card.outputs, *CONSTANTS):
            raise ValueError("an o2f takes its outputs and the constants as inputs")
