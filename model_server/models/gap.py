"""A forecast model behind a denoiser of the climate: each step a forecast, brought back among the climate's states.

    [model]
    name = "gap"
    options = { checkpoint = "climax_t31", prior = "$WORK/climate_t31.nc", sigma = 0.1 }

or, with the flow of `checkpoint` for the forecast, whose errors are drawn already, `forecast = "flow"`.

    z = (M(x) - m) / s + sigma n,  n ~ N(0, I)           m of the date, s: of the Gaussian climate (networks.climate)
    x(later) = m + s z_0,   z_0 from z by the flow of a denoiser of that climate (networks.denoiser)

A forecast is taken for a state seen through errors of size sigma s, and a sample drawn of what it may have been (GAP:
arXiv 2503.03038): what no state of the climate has is taken out, what the forecast has lost comes back, and n is new at
each step.  `draw` says what else may be tried in its place, as a control: "mean", D(z; sigma) without noise, which only
damps; "noise", M(x) + sigma s n, which only disturbs.  Negative humidities are zero, which adds water where there is
next to none; with `keep_water` the rest of the level gives it.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any, Literal, cast

import msgspec
import numpy as np

from contracts import humidity, times
from contracts.config import Positive, PositiveFloat, Section
from contracts.state import StateSpace
from model_server.models import climax, flow
from model_server.models.around import Around
from model_server.models.base import Batch, ForecastModel, seen_by
from networks import card as cards
from networks import starter
from networks.checkpoint import card_path
from networks.climate import file, gaussian
from networks.denoiser import denoiser
from networks.denoiser import flow as probability
from networks.denoiser.card import WIENER
from networks.denoiser.denoiser import Denoiser

log = logging.getLogger("model_server.gap")
STREAM = 8  # tells these draws from those of the model inside
FORECASTS = {"climax": climax, "flow": flow}


class Options(Section, frozen=True):
    """[model.options] of gap."""

    prior: str  # the climate's file; $NAMEs of the environment are filled in
    denoiser: str = WIENER  # or weights about that climate: a name that comes with the code, or weights.safetensors
    sigma: PositiveFloat = 0.1  # size of a step's errors in units of the climate's scale
    levels: Annotated[int, msgspec.Meta(ge=2)] = 4  # of the noise, from sigma down to 0.01
    draw: Literal["sample", "mean", "noise"] = "sample"
    keep_water: bool = False  # what negative humidities that become zero add to a level is taken from its rest
    forecast: Literal["climax", "flow"] = "climax"  # the model that is denoised
    checkpoint: str = "climax_t31"  # and on, as its options
    threads: Positive | None = None
    device: str = "auto"  # and on, of climax alone
    at_once: Positive | None = None
    engine: climax.Engine = "torch"

    def __post_init__(self):
        if self.sigma <= probability.LAST:
            raise ValueError(f"sigma must be above {probability.LAST:g}, where the flow ends, got {self.sigma:g}")
        _ = self.inside  # refuses here what cannot be

    @property
    def inside(self) -> climax.Options | flow.Options:
        """Those of the model that is denoised; raises ValueError where it knows none of them."""
        if self.forecast == "flow":
            if (self.device, self.at_once, self.engine) != ("auto", None, "torch"):
                raise ValueError('device, at_once and engine are options of climax: leave them out with forecast = '
                                 '"flow"')
            return flow.Options(checkpoint=self.checkpoint, threads=self.threads)
        return climax.Options(checkpoint=self.checkpoint, device=self.device, at_once=self.at_once,
                              threads=self.threads, engine=self.engine)


@dataclass(frozen=True)
class Gap(Around):
    """`model`, whose forecasts go through a denoiser; the `files` of that by what tells them from others."""

    options: Options
    denoiser: Denoiser
    files: Mapping[str, str]

    @property
    def name(self) -> str:
        return f"gap-{self.model.name}"

    @property
    def seen(self) -> tuple[tuple[datetime, datetime], ...]:
        """By the model inside, the climate and the denoiser's weights."""
        fitted = self.denoiser.climate.fitted
        first, last = (times.from_seconds(int(end)) for end in (fitted.min(), fitted.max()))
        return (*seen_by(self.model), (first, last), *_seen(self.options))

    @property
    def identity(self) -> Mapping[str, Any]:
        chosen = self.options
        return {**(getattr(self.model, "identity", None) or {}), **self.files, "sigma": chosen.sigma,
                "levels": chosen.levels, "draw": chosen.draw, **({"keep_water": True} if chosen.keep_water else {})}

    def step(self, batch: Batch) -> Batch:
        """One member after the other, so that its bits do not depend on its neighbours."""
        later = self.model.step(batch)
        data = np.stack([self.among_states(fields, later.time, random)
                         for fields, random in zip(later.data, batch.generators(STREAM), strict=True)])
        columns, negative = self.not_negative(data.reshape(*data.shape[:2], -1))
        if count := int(negative.sum()):
            log.debug("%s: %d humidities would have been negative, they are zero", times.name(later.time), count)
        return replace(later, data=columns.reshape(data.shape))

    def not_negative(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`X` (member, channel, column) without negative humidities, and how many there were (column,)."""
        humid = humidity.humid(self.space)
        if self.options.keep_water:
            return humidity.kept_on_the_globe(X, humid, self.space.grid.area_weights.ravel())
        return humidity.not_negative(X, humid)

    def among_states(self, fields: np.ndarray, time: datetime, random: np.random.Generator) -> np.ndarray:
        """Float32 (channel, lat, lon) of the forecast `fields` valid at `time`."""
        climate, sigma = self.denoiser.climate, self.options.sigma
        mean, scale = climate.mean(time), climate.scale
        z = np.divide(fields - mean, scale, out=np.zeros_like(mean), where=scale > 0)
        noise = random.standard_normal(z.shape) if self.options.draw != "mean" else 0.0
        noisy = (z + sigma * noise).astype(np.float32)[None]
        return (mean + scale * self.carried(noisy, time)[0]).astype(np.float32)

    def carried(self, noisy: np.ndarray, time: datetime) -> np.ndarray:
        """What comes of noisy states (m, channel, lat, lon)."""
        if self.options.draw == "noise":
            return noisy
        if self.options.draw == "mean":
            return self.denoiser.estimate(noisy, self.options.sigma, time)
        if self.denoiser.network is None:
            return self.denoiser.climate.correlation.apply(self.filtered, noisy)
        return probability.carried(lambda z, sigma: self.denoiser.estimate(z, sigma, time), noisy, self.sigmas)

    def filtered(self, variance: np.ndarray) -> np.ndarray:
        """Where the flow of the Wiener filter carries a mode of each `variance` that begins as 1.

        It is linear, so that all its levels together are one function of C.
        """
        return probability.carried(lambda z, sigma: gaussian.wiener(sigma)(variance) * z, np.ones_like(variance),
                                   self.sigmas)

    @property
    def sigmas(self) -> tuple[float, ...]:
        return probability.levels(self.options.sigma, self.options.levels)


def create(space: StateSpace, options: Options) -> ForecastModel:
    """The model; raises UserError or ContractError where weights, prior or the space do not fit."""
    path = starter.find(options.prior, ".nc")
    climate = file.read(path, space).astype(np.float32)
    inside = FORECASTS[options.forecast].create(space, options.inside)
    of, weights = Denoiser(climate), options.denoiser
    if weights != WIENER:
        of, checkpoint = denoiser.read(starter.find(weights, ".safetensors"), climate)
        weights = checkpoint.card.sha256
    frozen = Gap(cast(ForecastModel, inside), options, of,
                 {"prior": sha256(path.read_bytes()).hexdigest(), "denoiser": weights})
    return cast(ForecastModel, frozen)  # whose attributes nobody sets


def seen(options: Options) -> tuple[tuple[datetime, datetime], ...]:
    """Times that the weights saw, as their cards say; those of the climate are known when it is read."""
    return (*FORECASTS[options.forecast].seen(options.inside), *_seen(options))


def _seen(options: Options) -> tuple[tuple[datetime, datetime], ...]:
    """By the denoiser's weights, where there are any."""
    if options.denoiser == WIENER:
        return ()
    path = starter.find(options.denoiser, ".safetensors")
    return cards.read(card_path(path), path).seen if card_path(path).exists() else ()
