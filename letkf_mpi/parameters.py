"""The parameters of the model, analysed as a part of the state: the augmented ensemble (Anderson 2001, MWR 129, 2884).

A parameter stands nowhere, so nothing is localised: one update from all observations at once, whose covariances with
the parameters are those that the forecasts of members with other parameters have made.

    θᵃ_i = θ̄ + Θ (w̄ + W_i)        w̄, W of the LETKF from all rows, of precision `weight`/R, and β = `inflation`
    Θ <- Θ max(1, least / σ(Θ))    of each parameter, `least` = `least_spread` of the width of its range

The rows are the observations, or, with `band_degrees`, means of those of one quantity, layer and band of latitude,
weighted by their precisions: a linear H of its own, with errors of variance 1/Σ R⁻¹.  A parameter changes the climate,
so that it shows in means over a band, while the weather there averages out.

With `weight` = 1 this is the Kalman filter with augmented state, as far as the members span it.  Where they do not,
thousands of observations of k - 1 directions of weather leave no spread, though they say little of the parameters: then
means say more, and `least_spread` keeps the filter learning (Aksoy, Zhang & Nielsen-Gammon 2006, GRL 33, L12801); less
`weight` makes it learn more slowly.  The mean stays a spread away from the ends of its range,
and members that are beyond them all the same end there, so that a wild update does not leave all members the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
import numpy as np

from contracts import parameters
from contracts.config import Experiment, NotNegative, Section
from contracts.parameters import Parameter, Parameters
from letkf_mpi.solvers import Letkf, LocalProblem
from obsoperator.departures import Used

LAYER = 5_000.0  # Pa, of means over bands


class Augmented(Section, frozen=True):
    """[parameters] Estimate those of the model; without the section they stay as they are."""

    weight: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0  # of every observation's precision
    after_hours: NotNegative = 0  # from the start on they stay as they are: first members, states of a climate, owe
    # nothing to the parameters that were drawn for them
    inflation: Annotated[float, msgspec.Meta(ge=1)] = 1.0  # β of their background covariance
    band_degrees: Annotated[float, msgspec.Meta(gt=0, le=180)] | None = None  # of latitude; default: no means
    least_spread: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0  # of the width of a range: no less is left


@dataclass(frozen=True)
class Estimate:
    """The parameters of all members before and after an analysis, and how many values ended at the end of a range."""

    before: Parameters
    after: Parameters
    moved: int

    def lines(self) -> Iterator[str]:
        """One for each parameter, for the log."""
        for parameter, old, new in zip(self.before.of, self.before.values.T, self.after.values.T, strict=True):
            yield (f"parameter {parameter.name}: {old.mean():.4g} +- {old.std(ddof=1):.3g} before, {new.mean():.4g} "
                   f"+- {new.std(ddof=1):.3g} after")
        yield f"values of parameters moved to the end of their range: {self.moved}"


def estimate(asked: Augmented, experiment: Experiment, time: datetime, used: Used) -> Estimate:
    """Of the background of `time` from its used observations; raises ContractError where it has no parameters."""
    path = experiment.folder.at(time).background.parameters
    before = parameters.read(path, time, experiment.members)
    learns = time >= experiment.start + timedelta(hours=asked.after_hours)
    values = analysed(asked, before, used) if learns else before.values
    within = parameters.within(before.of, values)
    return Estimate(before, Parameters(before.of, within), int(np.count_nonzero(within != values)))


def analysed(asked: Augmented, before: Parameters, used: Used) -> np.ndarray:
    """(member, parameter), not yet within their ranges."""
    Y, d, variance = used.Y, used.d, used.variance
    if asked.band_degrees is not None and len(used):
        Y, d, variance = in_bands(used, asked.band_degrees)
    weights = Letkf().solve(LocalProblem(Y, d, variance, np.full(d.size, asked.weight), asked.inflation))
    mean = before.values.mean(axis=0)
    perturbations = before.values - mean  # (member, parameter)
    after = weights.perturbations.T @ perturbations
    spread = after.std(axis=0, ddof=1)
    least = asked.least_spread * np.array([one.width for one in before.of])
    stretched = np.divide(least, spread, out=np.ones_like(spread), where=spread > 0)
    after *= np.maximum(stretched, 1.0)
    return _inside(before.of, mean + weights.mean @ perturbations, after.std(axis=0, ddof=1)) + after


def _inside(of: tuple[Parameter, ...], mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """`mean` (parameter,) a spread away from the ends of the ranges, or in their middle where they are too narrow."""
    margin = np.minimum(spread, [one.width / 2 for one in of])
    return np.clip(mean, [one.low for one in of] + margin, [one.high for one in of] - margin)


def in_bands(used: Used, degrees: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Y (n, k), d (n,) and error variance (n,) of the means over each quantity, layer and band."""
    places = np.stack([used.quantity, np.floor((used.lat + 90.0) / degrees), np.round(used.pressure / LAYER)])
    which = np.unique(places, axis=1, return_inverse=True)[1].ravel()  # (nobs,) number of a row's mean
    precision = 1.0 / used.variance
    total = np.bincount(which, precision)
    Y, d = ([np.bincount(which, precision * column) / total for column in columns] for columns in (used.Y.T, [used.d]))
    return np.stack(Y, axis=1), d[0], 1.0 / total
