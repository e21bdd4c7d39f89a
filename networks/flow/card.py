"""What the card of a flow says of it, and the section [network] of a training."""

from contracts.config import Positive, Section
from networks.card import Card, NetworkCard
from networks.climax.sizes import Remaining
from networks.normalization import CONSTANTS


class Settings(Section, frozen=True):
    """[network] of a training, beside `kind = "flow"`; the network whose errors are learned is [training] begin."""

    width: Positive = 128  # features of a patch of 2 x 2 points
    blocks: Positive = 4  # of two convolutions each
    steps: Positive = 4  # from the Gaussian to an error, in a forecast
    errors: Positive = 200  # pairs of errors that the Gaussian is fitted to


class FlowCard(NetworkCard, frozen=True, tag="flow"):
    """[network] Sizes, the network whose errors it draws, and the memory of what it draws them from."""

    width: Positive
    blocks: Positive
    steps: Positive
    forecast: str  # weights that come with the code, or their path
    forecast_sha256: str
    memory: tuple[Remaining, ...]  # by channel, the correlation of an error with that of the step before
    lead_hours: float

    def refuse_misfit(self, card: Card) -> None:
        if card.inputs != (*card.outputs, *CONSTANTS):
            raise ValueError("a flow takes its outputs and the constants as inputs")
        if len(self.memory) != len(card.outputs):
            raise ValueError(f"memory must be of {len(card.outputs)} channels, got {len(self.memory)}")
