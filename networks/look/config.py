"""The section of the experiment file that `look` reads beside [latent]."""

from pathlib import Path
from typing import Annotated

import msgspec

from contracts import config
from contracts.config import NotNegative, Positive, PositiveFloat, Section
from networks.latent.config import Settings as OfLatent

Latitude = Annotated[float, msgspec.Meta(ge=0, le=80)]


class Look(Section, frozen=True):
    """[look] What is looked at beside the latent of [latent], in errors of its `check`."""

    others: dict[str, str] = {}  # name: file in the work folder of another latent
    autoencoder: str = ""  # weights in the work folder of one that stands about the latent of [latent]
    errors: Positive = 32  # of the period [latent] check
    leads_hours: tuple[Positive, ...] = (6, 24, 48)  # of errors whose correlations are told
    sample: Positive = 160  # errors of [latent] fit that sample covariances are made of
    taper_km: PositiveFloat = 1500.0  # standard deviation of the Gaussian that tapers one of them
    level_hpa: PositiveFloat = 500.0  # of the observations
    latitude: Latitude = 47.0  # of one of them; the other stands at the equator
    longitudes: Positive = 8  # of each, evenly spread: balance is told of all of them together
    backgrounds: NotNegative = 20  # about which an autoencoder's increments are compared


class Settings(OfLatent, frozen=True):
    """What the command reads of an experiment file."""

    look: Look = Look()

    @property
    def folder(self) -> Path:
        """Where tables and pictures go."""
        return self.experiment.folder.folder / "look"


def load(path: Path) -> Settings:
    """The experiment file; raises UserError with the place of what is wrong."""
    return config.load(path, Settings)
