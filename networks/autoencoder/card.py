"""What the card of an autoencoder says of it, and the section [network] of a training."""

from contracts.config import NotNegativeFloat, Positive, Section
from networks.card import Card, NetworkCard
from networks.normalization import CONSTANTS


class Settings(Section, frozen=True):
    """[network] of a training, beside `kind = "autoencoder"`."""

    latent: str  # the linear one, in the work folder; python -m networks latent makes it
    hidden: Positive = 64  # features between convolutions
    layers: Positive = 3  # convolutions of 3 x 3 points, before and after the latent
    differences: NotNegativeFloat = 8.0  # weight of what is lost of a difference of two states, beside what is of each


class AutoencoderCard(NetworkCard, frozen=True, tag="autoencoder"):
    """[network] Sizes, and the linear latent that it stands about."""

    hidden: Positive
    layers: Positive
    latent_sha256: str  # of the numbers of that latent: it says nothing of another

    def refuse_misfit(self, card: Card) -> None:
        if card.inputs != (*card.outputs, *CONSTANTS):
            raise ValueError("an autoencoder takes its outputs and the constants as inputs")
