"""The section [network] of an experiment file that trains a ClimaX."""

from typing import Annotated

from msgspec import Meta

from contracts.config import Section

# Ten times those of the largest networks of this kind: more is a mistake, and would ask for all memory there is.
Width = Annotated[int, Meta(ge=1, le=65_536)]
Depth = Annotated[int, Meta(ge=1, le=1000)]
DecoderDepth = Annotated[int, Meta(ge=0, le=1000)]
Window = tuple[Width, Width]
Ratio = Annotated[float, Meta(gt=0, le=100)]
Numbers = Annotated[int, Meta(ge=0, le=4096)]
Remaining = Annotated[float, Meta(ge=0, lt=1)]


class NoiseSizes(Section, frozen=True):
    """[network.noise] Random numbers that the last blocks see, so that members with the same state differ.

    At each patch `local` numbers of its own and `common` ones that are the same over the globe, which the layer norms
    of the last `blocks` and the one behind them are scaled and shifted with; `memory` their correlation from one step
    to the next, taken in turn where there are several.
    """

    local: Numbers = 8
    common: Numbers = 8
    blocks: Depth = 2
    memory: tuple[Remaining, ...] = (0.8,)

    def __post_init__(self):
        if not self.numbers:
            raise ValueError("noise of no numbers: give local or common, or leave the section out")
        if not self.memory:
            raise ValueError("memory must hold one number or more")

    @property
    def numbers(self) -> int:
        """Of each patch."""
        return self.local + self.common


class Sizes(Section, frozen=True):
    """[network] Sizes of a network trained from scratch."""

    patch: Width = 2
    embed_dim: Width = 192
    depth: Depth = 6
    heads: Width = 6
    decoder_depth: DecoderDepth = 2
    mlp_ratio: Ratio = 4.0
    window: Window | None = None  # patches attend within windows of so many rows and columns of them; default: to all
    noise: NoiseSizes | None = None  # of a network that forecasts ensembles
