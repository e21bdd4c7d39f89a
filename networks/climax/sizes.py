"""The section [network] of an experiment file that trains a ClimaX."""

from typing import Annotated

import msgspec

from contracts.config import Positive, Section


class Sizes(Section, frozen=True):
    """[network] Sizes of a network trained from scratch."""

    patch: Positive = 2
    embed_dim: Positive = 192
    depth: Positive = 6
    heads: Positive = 6
    decoder_depth: Annotated[int, msgspec.Meta(ge=0)] = 2
    mlp_ratio: Annotated[float, msgspec.Meta(gt=0)] = 4.0
