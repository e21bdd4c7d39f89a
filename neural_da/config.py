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
from contracts.errors import UserError
from contracts.retention import Retention
from contracts.slots import Slots
from neural_da.climatology import Climatology
from neural_da.method import MethodSettings, Needs
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
    retention: Retention = Retention()

    def refuse_unmet(self, needs: Needs) -> None:
        """Raises UserError where a method needs what the other sections do not leave it."""
        name, reach = self.neural.__struct_config__.tag, (needs.earlier_analyses - 1) * self.experiment.step_hours
        if needs.slots and self.slots is None:
            raise UserError(f'[neural] method = "{name}" compares observations with the background at slots: add a '
                            "section [slots], for the model server too")
        kept = self.retention.members_hours
        if needs.earlier_analyses and kept is not None and kept < reach:
            raise UserError(f'[neural] method = "{name}" needs the analyses of {needs.earlier_analyses} times before, '
                            f"and [retention] members_hours = {kept} lets them go: keep them for {reach} hours")
