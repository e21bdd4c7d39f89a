"""The sections of the experiment file that the analysis reads."""

import math
from typing import Annotated, Literal

import msgspec

from contracts import config
from contracts.config import NotNegativeFloat, PositiveFloat, Section
from contracts.slots import Slots
from letkf_mpi.local.adaptive_relaxation import AdaptiveRtpp, AdaptiveRtps
from letkf_mpi.local.inflation import Adaptive, Constant
from letkf_mpi.local.localization import Localization
from letkf_mpi.local.relaxation import NoRelaxation, Rtpp, Rtps
from letkf_mpi.parameters import Augmented
from letkf_mpi.solvers import Hybrid, Letkf, ParticleFilter, PerturbedObservations
from letkf_mpi.static.static_set import StaticSet
from obsoperator.aircraft_bias import AircraftBias
from obsoperator.departures import BackgroundCheck

Solver = Letkf | PerturbedObservations | Hybrid | ParticleFilter
Inflation = Constant | Adaptive
Relaxation = NoRelaxation | Rtpp | Rtps | AdaptiveRtpp | AdaptiveRtps
Fraction = Annotated[float, msgspec.Meta(gt=0, le=1)]
Parts = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class Analysis(Section, frozen=True):
    """[analysis] How the analysis is made."""

    solver: Solver = Letkf()
    static: StaticSet | None = None  # static perturbations, for the solvers that use them
    time: Literal["instant", "fgat", "4d"] = "instant"  # of H(x); the others need [slots]
    tempering: Parts | tuple[Fraction, ...] = 1  # parts of the likelihood, equal or as given
    humidity_below_hpa: NotNegativeFloat = 0.0  # at this pressure and above it (less) q is kept
    max_height_difference_m: PositiveFloat = 300.0  # station against model orography
    least_spread: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.01  # of the background's: less is a collapse
    tile: config.Positive = 4  # columns along each side of a tile, the unit of work
    threads: config.Positive = 1  # of each rank for the local analyses; the bits do not depend on them
    memory_gb: PositiveFloat | None = None  # of one node; an analysis that needs more is refused

    def __post_init__(self):
        name = self.solver.__struct_config__.tag
        if self.solver.needs_static != (self.static is not None):
            raise ValueError(f'solver "{name}" needs a section [analysis.static] that names states'
                             if self.static is None else
                             f'[analysis.static] is given, but solver "{name}" uses no static perturbations')
        if not math.isclose(sum(self.fractions), 1.0, abs_tol=1e-9):
            raise ValueError(f"tempering: expected a number of equal parts, or fractions whose sum is 1, "
                             f"got {list(self.fractions)} with sum {sum(self.fractions):g}")
        if self.is_tempered and not isinstance(self.solver, Letkf):
            raise ValueError(f'tempering is known for solver "letkf" only: parts of what "{name}" does are not the '
                             "whole of it")
        if self.is_tempered and self.time == "4d":
            raise ValueError('tempering evaluates H again after each part, and time = "4d" would need the analysis at '
                             'all slots for that: take time = "fgat", or no tempering')

    @property
    def fractions(self) -> tuple[float, ...]:
        """Of the likelihood in each part; one of 1 where there is no tempering."""
        return (1.0 / self.tempering,) * self.tempering if isinstance(self.tempering, int) else self.tempering

    @property
    def is_tempered(self) -> bool:
        return len(self.fractions) > 1


class Settings(Section, frozen=True):
    """Everything that the analysis reads of an experiment file."""

    experiment: config.Experiment
    grid: config.GridSettings = config.GridSettings()
    state: config.StateSettings = config.StateSettings()
    slots: Slots | None = None
    analysis: Analysis = Analysis()
    localization: Localization = Localization()
    inflation: Inflation = Constant()
    relaxation: Relaxation = Rtpp()
    background_check: BackgroundCheck = BackgroundCheck()
    aircraft_bias: AircraftBias = AircraftBias()
    parameters: Augmented | None = None  # of the model, analysed with the state

    def __post_init__(self):
        if self.analysis.solver.needs_static and self.inflation.is_carried:
            raise ValueError('[inflation] method "adaptive" learns from the spread of the ensemble alone, and solver '
                             f'"{self.analysis.solver.__struct_config__.tag}" has static perturbations too: take '
                             'method "constant"')
        if self.analysis.is_tempered and self.relaxation.is_carried:
            raise ValueError("[relaxation] an adaptive method learns from the weights of the whole analysis, which "
                             'tempering makes in parts: take method "rtpp" or "rtps", or no tempering')
        if self.analysis.time != "instant" and self.slots is None:
            raise ValueError(f'[analysis] time = "{self.analysis.time}" compares observations with the background at '
                             "slots: add a section [slots], for the model server too")
