"""The sections of the experiment file that the analysis reads."""

from typing import Annotated

import msgspec

from contracts import config
from contracts.config import Section
from letkf_mpi.departures import BackgroundCheck
from letkf_mpi.inflation import Adaptive, Constant
from letkf_mpi.localization import Localization
from letkf_mpi.relaxation import NoRelaxation, Rtpp, Rtps
from letkf_mpi.solvers import Letkf

Inflation = Constant | Adaptive
Relaxation = NoRelaxation | Rtpp | Rtps


class Analysis(Section, frozen=True):
    """[analysis] How the analysis is made."""

    solver: Letkf = Letkf()
    humidity_below_hpa: Annotated[float, msgspec.Meta(ge=0)] = 0.0  # at this pressure and above it (less) q is kept
    max_height_difference_m: Annotated[float, msgspec.Meta(gt=0)] = 300.0  # station against model orography
    least_spread: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.01  # of the background's: less is a collapse
    tile: config.Positive = 4  # columns along each side of a tile, the unit of work


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
