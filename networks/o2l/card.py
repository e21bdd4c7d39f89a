"""What the card of an observation-to-latent network says of it, and the section [network] of a training."""

from typing import Annotated

import msgspec

from contracts.config import NotNegative, NotNegativeFloat, Positive, Section
from networks.card import Card, NetworkCard
from networks.normalization import CONSTANTS

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Widths = Annotated[tuple[Positive, ...], msgspec.Meta(min_length=1)]


class Settings(Section, frozen=True):
    """[network] of a training, beside `kind = "o2l"`."""

    footprints: tuple[str, ...]  # what stations see, in the work folder; python -m neural_da.footprints makes them
    latent: str = "latent/eof.safetensors"  # in the work folder; python -m networks latent makes it
    shares: tuple[NotNegativeFloat, ...] = ()  # of the samples, for each of these; none named: equal ones
    dropped: Share = 0.6  # at most so many of the stations of a sample are left out, drawn evenly from 0 on
    evenness: Share = 0.5  # how far uncertain numbers of the latent are not passed over, see `task`
    widths: Widths = (64, 96, 128)  # features of each level, whose grid is half of the one before
    blocks: NotNegative = 2  # of two convolutions, at each level on the way down and up

    def __post_init__(self):
        if not self.footprints:
            raise ValueError("footprints must name at least one file")
        if self.shares and (len(self.shares) != len(self.footprints) or not sum(self.shares)):
            raise ValueError(f"shares must be one for each of the {len(self.footprints)} footprints, and not all 0, "
                             f"got {list(self.shares)}")


class O2LCard(NetworkCard, frozen=True, tag="o2l"):
    """[network] Sizes, and the latent that it knows."""

    widths: Widths
    blocks: NotNegative
    latent_sha256: str  # of the numbers of that latent: it says nothing of another
    seasons: Positive  # functions of the date in its climate
    footprints: tuple[str, ...]  # what it was trained with
    dropped: Share

    def refuse_misfit(self, card: Card) -> None:
        if card.inputs != (*card.outputs, *CONSTANTS):
            raise ValueError("an o2l takes its outputs and the constants as inputs")
