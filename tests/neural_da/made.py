"""A small analysis of the whole state: a latent fitted to made errors, members, and observations of the free air."""

from datetime import timedelta

import numpy as np
import torch

from contracts.observations import Observations
from contracts.variables import Quantity
from networks.latent import eof
from networks.latent.operator import Operator
from neural_da.draws import Draws
from neural_da.latent_3d_var import Prepared
from neural_da.localized import Share
from neural_da.methods import Latent3DVar
from neural_da.problem import Problem, Term
from obsoperator import Forward, tensors
from tests import builders
from tests.builders import CLIMATE, TIME

PATCH = (2, 4)
SPACE = builders.space()
N = PATCH[0] * PATCH[1] * len(SPACE.channels)  # numbers in a patch
SIZE = np.prod(SPACE.shape)
SCALE = np.array([0.1 * CLIMATE[channel.variable][1] for channel in SPACE.channels])
LINEAR = (Quantity.u_component_of_wind, Quantity.v_component_of_wind, Quantity.temperature, Quantity.specific_humidity)
FIELD = {quantity: quantity.name for quantity in LINEAR} | {Quantity.surface_pressure: "surface_pressure"}


def errors(count: int = 40) -> np.ndarray:
    """(count, channel, lat, lon), smooth along the globe, of the channels' own sizes."""
    white = np.random.default_rng(7).standard_normal((count, *SPACE.shape))
    return (white + np.roll(white, 1, -1) + np.roll(white, 1, -2)) * SCALE[:, None, None]


def latent(modes: int = 40, overlap: bool = False) -> eof.Eof:
    moments = eof.Moments.of(errors(), SPACE, PATCH, SCALE, overlap)
    return eof.fit(moments, SPACE, PATCH, SCALE, np.zeros(SPACE.shape), modes, overlap)


def method(of: eof.Eof | None = None, **settings) -> Prepared:
    """In double precision, to convergence, where nothing else is asked for."""
    settings = {"precision": "float64", "tolerance": 1e-10, "iterations": 1000, "latent": "none"} | settings
    chosen = Latent3DVar(**settings)
    dtype = getattr(torch, chosen.precision)
    return Prepared(chosen, Operator.of(of or latent(), dtype=dtype), share=Share.of(chosen, SPACE, dtype, 4))


def deviation(of: Prepared) -> torch.Tensor:
    """(size,) sqrt(b) of the climate alone."""
    return of.settings.factor * of.latent.variance.sqrt()


def ensemble(members: int = 4) -> np.ndarray:
    """(member, channel, column) float32."""
    states = [builders.random_state(SPACE, seed).data for seed in range(members)]
    return np.stack(states).reshape(members, len(SPACE.channels), -1)


def table(nobs: int = 30, quantities=LINEAR, error: float = 0.1, seed: int = 5) -> Observations:
    """Observations all over the globe, their errors in units of the climate's standard deviation; stations stand so
    high that a surface pressure is not linear in the state."""
    rng = np.random.default_rng(seed)
    quantity = rng.choice(list(quantities), nobs)
    mean, scale = np.array([CLIMATE[FIELD[Quantity(code)]] for code in quantity]).reshape(-1, 2).T
    return builders.observations(
        mean + scale * rng.standard_normal(nobs), quantity=quantity, error=error * scale,
        lat=rng.uniform(-80, 80, nobs), lon=rng.uniform(0, 360, nobs), pressure=rng.uniform(50_000, 92_500, nobs),
        report=np.arange(nobs), elevation=rng.uniform(0, 2000, nobs))


def term(of: Observations, offset: timedelta = timedelta(), first: int = 0) -> Term:
    """Rows `first` and on of a table of a time; all of them have an H(x)."""
    forward = Forward.of(of, SPACE, builders.flat_static(SPACE.grid), 1e9)
    return Term(offset, of, first + np.arange(len(of)), tensors.on(forward, "cpu", torch.float64),
                torch.tensor(of.value), torch.tensor(of.error.astype(np.float64) ** 2))


def problem(background: np.ndarray, *terms: Term, members=None, **more) -> Problem:
    wanted = np.arange(len(background)) if members is None else np.asarray(members, int)
    return Problem(TIME, SPACE, background, terms, wanted, sum(map(len, terms)), **more)


def draws(members: int, seed: int = 1) -> Draws:
    return Draws(seed, TIME, members)


def flat(X: np.ndarray) -> np.ndarray:
    """(member, channel, column) -> (member, channel * column), double precision."""
    return X.reshape(len(X), -1).astype(np.float64)


def covariance(of: eof.Eof, factor: float) -> np.ndarray:
    """B = G Gᵀ (channel * column, channel * column), patch by patch from the definition; of S patch grids the mean."""
    B = np.zeros((SIZE, SIZE))
    for band, P, variance in zip(of.bands(), of.basis, of.variance, strict=True):
        for half in range(len(band.entry)):
            block = factor**2 * (P.T * variance[half]) @ P * np.outer(band.sign[half], band.sign[half])
            for entry in band.entry[half]:
                B[np.ix_(entry, entry)] += block
    scale = np.repeat(of.scale, SPACE.grid.size)
    return B * np.outer(scale, scale) / len(of.grids())


def matrix(of: Term) -> np.ndarray:
    """H (n, channel * column) of a linear one, column by column of the identity."""
    identity = torch.eye(int(SIZE), dtype=torch.float64).unflatten(-1, (len(SPACE.channels), -1))
    zero = of.forward.apply(torch.zeros(identity.shape[1:], dtype=torch.float64))
    return np.stack([(of.forward.apply(x) - zero).numpy() for x in identity], axis=1)


