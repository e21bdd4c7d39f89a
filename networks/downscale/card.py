"""What the card of a network that brings ensembles to a finer grid says, and the section [network] of a training."""

from typing import Literal

from contracts.config import GridSettings, NotNegative, Positive, PositiveFloat, Section
from networks.card import Card, GridCard, NetworkCard
from networks.denoiser.card import Noise, Widths
from networks.normalization import CONSTANTS

Of = Literal["spread", "members"]
Method = Literal["gaussian", "diffusion"]


class Settings(Section, frozen=True):
    """[network] of a training, beside `kind = "downscale"`."""

    coarse: GridSettings  # [network.coarse]: the grid that it comes from; [grid] is the one that it goes to
    of: Of = "spread"  # of the ensemble, in the logarithm, or its members' anomalies from their mean
    method: Method = "gaussian"  # a mean and a deviation for each point, or samples
    members: Positive = 80  # of the ensembles of [training] data, where anomalies of members are learned
    of_each: Positive = 8  # of them, of each time of a batch
    map_days: PositiveFloat = 30.0  # of the training times that the map of mean errors is made of
    noise: Noise = (0.02, 10.0)  # diffusion: least and largest, in units of what the bilinear guess leaves
    widths: Widths = (48, 64)  # features of each level, whose grid is half of the one before
    blocks: NotNegative = 1  # of two convolutions, at each level on the way down and up

    def __post_init__(self):
        if self.noise[0] >= self.noise[1]:
            raise ValueError(f"noise must name the least and the largest, got {list(self.noise)}")


class DownscaleCard(NetworkCard, frozen=True, tag="downscale"):
    """[network] What it brings from which grid, and its sizes."""

    coarse: GridCard
    of: Of
    method: Method
    noise: Noise
    widths: Widths
    blocks: NotNegative

    def refuse_misfit(self, card: Card) -> None:
        if card.inputs != (*card.outputs, *CONSTANTS):
            raise ValueError("a downscale takes its outputs and the constants as inputs")
