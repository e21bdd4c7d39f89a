"""What the card of a ClimaX says of the network."""

from typing import Literal

from contracts.config import PositiveFloat
from networks.card import Card, Damping, NetworkCard, refuse_names
from networks.climax.sizes import DecoderDepth, Depth, NoiseSizes, Ratio, Width, Window


class ClimaXCard(NetworkCard, frozen=True, tag="climax"):
    """[network] Sizes; `tokens` and `head` name, in order, all fields the network can take and give."""

    tokens: tuple[str, ...]
    head: tuple[str, ...]
    patch: Width
    embed_dim: Width
    depth: Depth
    heads: Width
    lead_hours: PositiveFloat
    lead_scale: PositiveFloat  # the network is given lead_hours / lead_scale
    predicts: Literal["tendency", "field"]
    decoder_depth: DecoderDepth = 2
    mlp_ratio: Ratio = 4.0
    window: Window | None = None
    damping: Damping | None = None  # where the network predicts tendencies
    noise: NoiseSizes | None = None  # of a network that forecasts ensembles

    @property
    def needs_climatology(self) -> bool:
        return self.damping is not None

    def refuse_misfit(self, card: Card) -> None:
        refuse_names("tokens", self.tokens)
        refuse_names("head", self.head)
        refuse_names("inputs", card.inputs, self.tokens)
        refuse_names("outputs", card.outputs, self.head)
        unscaled = [name for name in card.outputs if card.normalization[name].tendency_std is None]
        if self.predicts == "tendency" and unscaled:
            raise ValueError(f"a tendency needs its tendency_std, missing for {', '.join(unscaled)}")
        if self.damping is not None:
            if self.predicts != "tendency":
                raise ValueError("damping belongs to a network that predicts the tendency; remove it")
            if self.damping.factor:
                refuse_names("damping of", tuple(self.damping.factor), card.outputs)
