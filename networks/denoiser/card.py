"""What the card of a denoiser says of it, and the section [network] of a training."""

from typing import Annotated

import msgspec

from contracts.config import NotNegative, Positive, PositiveFloat, Section
from networks.card import Card, NetworkCard
from networks.normalization import CONSTANTS

WIENER = "wiener"  # in the place of weights: the denoiser of a Gaussian
Widths = Annotated[tuple[Positive, ...], msgspec.Meta(min_length=1)]
Noise = tuple[PositiveFloat, PositiveFloat]


class Settings(Section, frozen=True):
    """[network] of a training, beside `kind = "denoiser"`."""

    climate: str = "climate.nc"  # in the work folder; python -m networks climate makes it
    noise: Noise = (0.02, 5.0)  # least and largest, in units of the climate's scale
    widths: Widths = (96, 128)  # features of each level, whose grid is half of the one before
    blocks: NotNegative = 2  # of two convolutions, at each level on the way down and up

    def __post_init__(self):
        if self.noise[0] >= self.noise[1]:
            raise ValueError(f"noise must name the least and the largest, got {list(self.noise)}")


class ClimateCard(Section, frozen=True):
    """Which climate a denoiser corrects: how many states it was fitted to, seconds since 1970 of the first and the
    last, and what its Wiener filter expects to err (`networks.climate.wiener.SIGMAS`)."""

    states: Positive
    first: int
    last: int
    errors: tuple[float, ...]


class DenoiserCard(NetworkCard, frozen=True, tag="denoiser"):
    """[network] Sizes, noise of the training, and the climate that it knows."""

    widths: Widths
    blocks: NotNegative
    noise: Noise
    climate: ClimateCard

    def refuse_misfit(self, card: Card) -> None:
        if card.inputs != (*card.outputs, *CONSTANTS):
            raise ValueError("a denoiser takes its outputs and the constants as inputs")
