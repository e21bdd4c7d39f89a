"""The section [network] of an experiment file that trains a ClimaX."""

from typing import Annotated

from msgspec import Meta

from contracts.config import Section

# Ten times those of the largest networks of this kind: more is a mistake, and would ask for all memory there is.
Width = Annotated[int, Meta(ge=1, le=65_536)]
Depth = Annotated[int, Meta(ge=1, le=1000)]
DecoderDepth = Annotated[int, Meta(ge=0, le=1000)]
Ratio = Annotated[float, Meta(gt=0, le=100)]


class Sizes(Section, frozen=True):
    """[network] Sizes of a network trained from scratch."""

    patch: Width = 2
    embed_dim: Width = 192
    depth: Depth = 6
    heads: Width = 6
    decoder_depth: DecoderDepth = 2
    mlp_ratio: Ratio = 4.0
