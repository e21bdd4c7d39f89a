"""The sections of the experiment file that the program reads, and its methods by name.

A method of another package comes by an entry point that names its settings struct, in its setup.cfg:

    [options.entry_points]
    neural_da.methods =
        mine = mypackage.mymethod:Settings
"""

from functools import reduce
from importlib.metadata import entry_points
from operator import or_

from contracts import config
from contracts.config import Section
from contracts.slots import Slots
from neural_da.climatology import Climatology
from neural_da.method import MethodSettings
from neural_da.three_d_var import ThreeDVar
from obsoperator.departures import BackgroundCheck

GROUP = "neural_da.methods"
METHODS: tuple[type[MethodSettings], ...] = (ThreeDVar, Climatology,
                                             *(point.load() for point in entry_points(group=GROUP)))


class Settings(Section, frozen=True):
    """Everything that the program reads of an experiment file."""

    experiment: config.Experiment
    neural: reduce(or_, METHODS)  # type: ignore[valid-type]  # which there are is known when they are installed
    grid: config.GridSettings = config.GridSettings()
    state: config.StateSettings = config.StateSettings()
    slots: Slots | None = None
    background_check: BackgroundCheck = BackgroundCheck()
