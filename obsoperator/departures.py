"""Departures: innovations, the fate of every observation, and what of it the analysis sees.

    d = y − mean H(xᵇ)          Y = H(xᵇ) − mean H(xᵇ)          σ_b = standard deviation of H(xᵇ)

Background check: rejected where |d| > g σ_o ("observation") or |d| > g √(σ_o² + σ_b²) ("total"), or beyond the largest
departure that a row comes with.  Before it stands that an error lies within bounds (`error_bounds`).
A humidity shares a gross error of the temperature beside it: it was made from it, and so was its error, which is the
wider the warmer the false temperature is and would let the worst of them pass.
Every row that came as `passed` leaves as `assimilated` or with a reason.  A `withheld` one stands the same trial and
stays `withheld` only where it would have been assimilated, so that it is as good a judge as the others are witnesses.
All others keep the reason they came with; every row gets its H(x) where the model can give it.

The rank of an observation among the members is uniform in 0 … k for a reliable ensemble if each member has a draw of
the observation's error added (Hamill 2001, MWR 129, 550).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from contracts.config import PositiveFloat, Section
from contracts.constants import SURFACE_PRESSURE_NOMINAL
from contracts.observations import Departures, Observations
from contracts.variables import Flag, Quantity, of_kind
from obsoperator import error_bounds
from obsoperator.error_bounds import Bounds

_TEMPERATURES = of_kind("temperature")
_HUMIDITIES = (Quantity.specific_humidity, Quantity.specific_humidity_2m)
_ON_TRIAL = (Flag.passed, Flag.withheld)
_COMPARED = (Flag.assimilated, Flag.withheld, Flag.monitored)
_RANK, _PERTURBATION = 1, 2  # streams of draws from the same seed
_DRAWN_AT_ONCE = 2**10  # rows
_DRAWN_TOGETHER = 2**17  # rows; draws cannot be skipped, so that a part of a table draws for these before its own too


class BackgroundCheck(Section, frozen=True):
    """[background_check] When an observation is too far from the background, and which errors are believed."""

    limit: PositiveFloat = 5.0  # g
    against: Literal["observation", "total"] = "total"
    error_bounds: dict[str, Bounds] = {}  # least and most of a quantity's observation errors, where not the table's

    def __post_init__(self):
        error_bounds.refuse_impossible(self.error_bounds)

    def rejects(self, d: np.ndarray, error: np.ndarray, spread: np.ndarray) -> np.ndarray:
        """(nobs,) bool; NaN is not rejected here."""
        scale = error if self.against == "observation" else np.sqrt(error**2 + spread**2)
        return np.abs(d) > self.limit * scale


@dataclass(frozen=True)
class Used:
    """The assimilated observations in table order: `Y` (n, k), all others (n,).

    `pressure` is where they stand in vertical localisation.  `noise` (n, k) are standard normal draws for the methods
    that ask for them: those of a row of the table are the same whatever became of the other rows.  `static` (n, m) are
    observed static perturbations.  `message_type` serves limits on their number.
    """

    Y: np.ndarray
    d: np.ndarray
    variance: np.ndarray
    quantity: np.ndarray
    lat: np.ndarray
    lon: np.ndarray
    pressure: np.ndarray
    noise: np.ndarray | None = None
    static: np.ndarray | None = None
    message_type: np.ndarray | None = None

    def __len__(self) -> int:
        return self.d.size


@dataclass(frozen=True)
class FirstGuess:
    """A table with final flags and the background's equivalents `hx` (nobs, k); draws come from `seed`.

    `drift` (nobs,) is what the background's mean changes from the analysis time to the observation's own, see
    `own_time`.  Where these are rows of a longer table there are rows `before` them, of which `compared_before` are
    compared, as `compared` counts them: draws are those of the whole table.
    """

    table: Observations
    hx: np.ndarray
    seed: tuple[int, ...] = ()
    drift: np.ndarray | None = None
    before: int = 0
    compared_before: int = 0

    def used(self, with_noise: bool = False, static: np.ndarray | None = None) -> Used:
        """What the analysis sees; `static` (nobs, m) observed static perturbations."""
        rows = self.table.flag == Flag.assimilated
        table, hx = self.table.select(rows), self.hx[rows]
        mean = hx.mean(axis=1)
        return Used(hx - mean[:, None], table.value - mean, table.error.astype(np.float64) ** 2, table.quantity,
                    table.lat, table.lon, vertical_position(table),
                    self._draws(_PERTURBATION, self.before, len(self.table))[rows] if with_noise else None,
                    None if static is None else static[rows], table.message_type)

    def again(self, hx: np.ndarray) -> "FirstGuess":
        """The same rows with the same fates, and `hx` (nobs, k) of another ensemble at the analysis time."""
        return replace(self, hx=self._drifted(hx))

    def _drifted(self, hx: np.ndarray) -> np.ndarray:
        return hx if self.drift is None else hx + self.drift[:, None]

    @property
    def compared(self) -> np.ndarray:
        """Numbers of the rows whose H(x) means something."""
        return np.flatnonzero(np.isin(self.table.flag, _COMPARED))

    @property
    def rank(self) -> np.ndarray:
        """(nobs,) members, with observation error added, below the observed value; -1 where not compared."""
        compared = self.compared
        error = self.table.error[compared, None].astype(np.float64)
        above = (self.table.value[compared, None] - self.hx[compared]) / error  # in standard deviations
        below = np.count_nonzero(self._draws(_RANK, self.compared_before, compared.size) < above, axis=1)
        rank = np.full(len(self.table), -1)
        rank[compared] = np.where(np.isfinite(above.sum(axis=1)), below, -1)
        return rank

    def _draws(self, stream: int, before: int, rows: int) -> np.ndarray:
        """(rows, k) standard normal, float32, of the rows that have so many `before` them."""
        drawn, k = np.empty((rows, self.hx.shape[1]), np.float32), self.hx.shape[1]
        for block in range(before // _DRAWN_TOGETHER, -(-(before + rows) // _DRAWN_TOGETHER)):
            first = block * _DRAWN_TOGETHER
            start, stop = max(before, first), min(before + rows, first + _DRAWN_TOGETHER)
            random = np.random.default_rng((*self.seed, stream, block) if block else (*self.seed, stream))
            for _ in range((start - first) // _DRAWN_AT_ONCE):
                random.standard_normal((_DRAWN_AT_ONCE, k), dtype=np.float32)
            random.standard_normal(((start - first) % _DRAWN_AT_ONCE, k), dtype=np.float32)
            random.standard_normal(out=drawn[start - before : stop - before], dtype=np.float32)
        return drawn

    def with_analysis(self, hx: np.ndarray) -> Departures:
        """The rows of `departures.nc`, with the analysis' equivalents `hx` (nobs, k) at the analysis time."""
        columns = {name: getattr(self.table, name) for name in Observations.__dataclass_fields__}
        hx = self._drifted(hx)
        return Departures(**columns, background_mean=self.hx.mean(axis=1), background_spread=_spread(self.hx),
                          analysis_mean=hx.mean(axis=1), analysis_spread=_spread(hx),
                          background_rank=self.rank)


def first_guess(table: Observations, hx: np.ndarray, ground_pressure: np.ndarray, operator_flag: np.ndarray,
                check: BackgroundCheck, seed: tuple[int, ...] = (), drift: np.ndarray | None = None,
                of_all: Callable[[np.ndarray], np.ndarray] = lambda of_these: of_these) -> FirstGuess:
    """Judge every row from `hx` and `ground_pressure` (nobs, k) and the operator's flags (nobs,).

    `seed` of everything random here: the experiment's and the time.  `drift` (nobs,) as in `FirstGuess`.  Where these
    are rows of a longer table, `of_all` makes of a few numbers found in them those found in the whole.
    """
    spread, d = _spread(hx), table.value - hx.mean(axis=1)
    error = table.error.astype(np.float64)
    reasons: list[tuple[np.ndarray, np.ndarray | Flag]] = [  # the first that holds is told
        (operator_flag != Flag.passed, operator_flag),
        (table.pressure > ground_pressure.mean(axis=1), Flag.below_ground),
        (~(error > 0), Flag.missing_error),
        (~error_bounds.within(table.quantity, table.error, check.error_bounds), Flag.error_out_of_bounds),
        (~np.isfinite(table.value), Flag.out_of_range),
        (~np.isfinite(hx).all(axis=1), Flag.no_model_field),
        (np.where(np.isfinite(table.largest_departure), np.abs(d) > table.largest_departure,
                  check.rejects(d, error, spread)), Flag.gross_error),
    ]
    conditions, flags = zip(*reasons, strict=True)
    unless_rejected = np.where(table.flag == Flag.passed, Flag.assimilated, table.flag)
    on_trial = np.isin(table.flag, _ON_TRIAL)
    flag = np.where(on_trial, np.select(conditions, flags, unless_rejected), table.flag)
    condemned = on_trial & (flag == unless_rejected) & _beside_a_gross_temperature(table, flag, of_all)
    flag = np.where(condemned, Flag.gross_error, flag)
    _account(table.flag, flag)
    return FirstGuess(table.with_columns(flag=flag), hx, seed, drift)


def strange_errors(table: Observations, flag: np.ndarray, check: BackgroundCheck) -> list[str]:
    """A sentence for each of the first rows of a `table` as it came whose fate `flag` (nobs,) is to have an error that
    no observation has."""
    stood_trial = np.isin(table.flag, _ON_TRIAL)
    strange = np.flatnonzero(stood_trial & np.isin(flag, (Flag.missing_error, Flag.error_out_of_bounds)))
    return error_bounds.named(table, strange, check.error_bounds)


def _beside_a_gross_temperature(table: Observations, flag: np.ndarray,
                                of_all: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Humidities at whose level the same report has a temperature with a gross error, (nobs,) bool."""
    level = table.report + 1j * np.nan_to_num(table.pressure, nan=-1.0)  # one number stands for both
    gross = np.isin(table.quantity, _TEMPERATURES) & (flag == Flag.gross_error)
    return np.isin(table.quantity, _HUMIDITIES) & np.isin(level, of_all(level[gross]))


def _account(before: np.ndarray, after: np.ndarray) -> None:
    """Nothing is lost: no row without a fate, none that changed it without having stood trial."""
    undecided = (after == Flag.passed).sum()
    changed = ((after != before) & ~np.isin(before, _ON_TRIAL)).sum()
    if undecided or changed:
        raise AssertionError(f"{undecided} observations without a fate, {changed} with another than they came with")


def vertical_position(table: Observations) -> np.ndarray:
    """(nobs,) Pa, where observations stand in vertical localisation.

    A quantity of a surface channel stands where surface channels stand, at the nominal pressure, however high the
    station: so that the channel it is compared with sees it undamped.
    """
    return np.where(table.at_surface, SURFACE_PRESSURE_NOMINAL, table.pressure)


def _spread(hx: np.ndarray) -> np.ndarray:
    return hx.std(axis=1, ddof=1)
