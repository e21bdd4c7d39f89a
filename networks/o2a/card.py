"""What the card of a network that corrects optimal interpolation says, and the section [network] of a training."""

from typing import Annotated

import msgspec

from contracts.config import NotNegative, Positive, Section
from networks.card import Card, NetworkCard
from networks.normalization import CONSTANTS
from networks.o2l.card import Share, Widths

Draws = Annotated[int, msgspec.Meta(ge=2)]


class Settings(Section, frozen=True):
    """[network] of a training, beside `kind = "o2a"`."""

    footprints: str  # what stations see, in the work folder; python -m neural_da.footprints makes them
    prior: str = "climate.nc"  # in the work folder; python -m networks climate makes it
    dropped: Share = 0.6  # at most so many of the stations are left out, drawn evenly from 0 on
    cycles: NotNegative = 0  # of analyses before each that is learned from; 0: it is about the climate, else a forecast
    model: str = "climax_t31"  # that makes those forecasts: a name that comes with the code, or weights
    group: Positive = 64  # states, or chains of them, to be seen by the same stations: they share factorisations
    draws: Draws = 16  # of the climate, that tell the spread of an analysis
    widths: Widths = (64, 96, 128)  # features of each level, whose grid is half of the one before
    blocks: NotNegative = 2  # of two convolutions, at each level on the way down and up


class O2ACard(NetworkCard, frozen=True, tag="o2a"):
    """[network] Sizes, and the climate whose analyses it corrects."""

    widths: Widths
    blocks: NotNegative
    prior_sha256: str  # of the climate's numbers: it corrects the analyses of no other
    draws: Draws
    footprints: str  # what it was trained with
    dropped: Share
    cycles: NotNegative = 0  # 0: it corrects analyses about the climate, else about forecasts

    def refuse_misfit(self, card: Card) -> None:
        if card.inputs != (*card.outputs, *CONSTANTS):
            raise ValueError("an o2a takes its outputs and the constants as inputs")
