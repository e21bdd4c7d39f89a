"""The parameters of the model, analysed as a part of the state: the augmented ensemble (Anderson 2001, MWR 129, 2884).

A parameter stands nowhere, so nothing is localised: one update from all observations at once, whose covariances with
the parameters are those that the forecasts of members with other parameters have made.

    θᵃ_i = θ̄ + Θ (w̄ + W_i)        w̄, W of the LETKF from all rows, of precision `weight`/R, and β = `inflation`
    Θ <- Θ max(1, least / σ(Θ))    of each parameter, `least` = `least_spread` of the width of its range

With `weight` = 1 this is the Kalman filter with augmented state, as far as the members span it.  Where they do not,
thousands of observations of k - 1 directions of weather leave no spread, though they say little of the parameters: then
`weight` is about the number of such directions by that of the observations, and `least_spread` keeps the filter
learning (Aksoy, Zhang & Nielsen-Gammon 2006, GRL 33, L12801).  What an update puts beyond a range ends at its end.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec
import numpy as np

from contracts import parameters
from contracts.config import Experiment, Section
from contracts.parameters import Parameters
from letkf_mpi.solvers import Letkf, LocalProblem
from obsoperator.departures import Used


class Augmented(Section, frozen=True):
    """[parameters] Estimate those of the model; without the section they stay as they are."""

    weight: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0  # of every observation's precision
    inflation: Annotated[float, msgspec.Meta(ge=1)] = 1.0  # β of their background covariance
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
        yield f"{self.moved} values of parameters moved to the end of their range"


def estimate(asked: Augmented, experiment: Experiment, time: datetime, used: Used) -> Estimate:
    """Of the background of `time` from its used observations; raises ContractError where it has no parameters."""
    path = experiment.folder.at(time).background.parameters
    before = parameters.read(path, time, experiment.members)
    values = analysed(asked, before, used)
    within = parameters.within(before.of, values)
    return Estimate(before, Parameters(before.of, within), int(np.count_nonzero(within != values)))


def analysed(asked: Augmented, before: Parameters, used: Used) -> np.ndarray:
    """(member, parameter), not yet within their ranges."""
    taper = np.full(len(used), asked.weight)
    weights = Letkf().solve(LocalProblem(used.Y, used.d, used.variance, taper, asked.inflation))
    mean = before.values.mean(axis=0)
    perturbations = before.values - mean  # (member, parameter)
    after = weights.perturbations.T @ perturbations
    spread = after.std(axis=0, ddof=1)
    least = asked.least_spread * np.array([one.width for one in before.of])
    stretched = np.divide(least, spread, out=np.ones_like(spread), where=spread > 0)
    return mean + weights.mean @ perturbations + np.maximum(stretched, 1.0) * after
