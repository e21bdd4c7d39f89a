"""The sections of the experiment file that the analysis reads."""

from typing import Annotated

import msgspec

from contracts import config
from contracts.config import Section
from letkf_mpi.adaptive_relaxation import AdaptiveRtpp, AdaptiveRtps
from letkf_mpi.departures import BackgroundCheck
from letkf_mpi.inflation import Adaptive, Constant
from letkf_mpi.localization import Localization
from letkf_mpi.relaxation import NoRelaxation, Rtpp, Rtps
from letkf_mpi.solvers import Hybrid, Letkf, ParticleFilter, PerturbedObservations
from letkf_mpi.static_set import StaticSet

Solver = Letkf | PerturbedObservations | Hybrid | ParticleFilter
Inflation = Constant | Adaptive
Relaxation = NoRelaxation | Rtpp | Rtps | AdaptiveRtpp | AdaptiveRtps


class Analysis(Section, frozen=True):
    """[analysis] How the analysis is made."""

    solver: Solver = Letkf()
    static: StaticSet | None = None  # static perturbations, for the solvers that use them
    humidity_below_hpa: Annotated[float, msgspec.Meta(ge=0)] = 0.0  # at this pressure and above it (less) q is kept
    max_height_difference_m: Annotated[float, msgspec.Meta(gt=0)] = 300.0  # station against model orography
    least_spread: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.01  # of the background's: less is a collapse
    tile: config.Positive = 4  # columns along each side of a tile, the unit of work
    threads: config.Positive = 1  # of each rank for the local analyses; the bits do not depend on them
    memory_gb: Annotated[float, msgspec.Meta(gt=0)] | None = None  # of one node; an analysis that needs more is refused

    def __post_init__(self):
        if self.solver.needs_static != (self.static is not None):
            name = self.solver.__struct_config__.tag
            raise ValueError(f'solver "{name}" needs a section [analysis.static] that names states'
                             if self.static is None else
                             f'[analysis.static] is given, but solver "{name}" uses no static perturbations')


class Settings(Section, frozen=True):
    """Everything that the analysis reads of an experiment file."""

    experiment: config.Experiment
    grid: config.GridSettings = config.GridSettings()
    state: config.StateSettings = config.StateSettings()
    analysis: Analysis = Analysis()
    localization: Localization = Localization()
    inflation: Inflation = Constant()
    relaxation: Relaxation = Rtpp()
    background_check: BackgroundCheck = BackgroundCheck()

    def __post_init__(self):
        if self.analysis.solver.needs_static and self.inflation.is_carried:
            raise ValueError('[inflation] method "adaptive" learns from the spread of the ensemble alone, and solver '
                             f'"{self.analysis.solver.__struct_config__.tag}" has static perturbations too: take '
                             'method "constant"')  # fmt: skip
