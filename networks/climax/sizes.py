"""The section [network] of an experiment file that trains a ClimaX."""

from contracts.config import NotNegative, Positive, PositiveFloat, Section


class Sizes(Section, frozen=True):
    """[network] Sizes of a network trained from scratch."""

    patch: Positive = 2
    embed_dim: Positive = 192
    depth: Positive = 6
    heads: Positive = 6
    decoder_depth: NotNegative = 2
    mlp_ratio: PositiveFloat = 4.0
