"""The sections of the experiment file that the program reads."""

from functools import reduce
from operator import or_
from pathlib import Path

from contracts import config
from contracts.config import Section
from contracts.errors import UserError
from contracts.retention import Retention
from contracts.slots import Slots
from neural_da import methods
from obsoperator.aircraft_bias import AircraftBias
from obsoperator.departures import BackgroundCheck


class Settings(Section, frozen=True):
    """Everything that the program reads of an experiment file."""

    experiment: config.Experiment
    neural: reduce(or_, methods.every())  # type: ignore[valid-type]  # which there are is known when they are installed
    grid: config.GridSettings = config.GridSettings()
    state: config.StateSettings = config.StateSettings()
    slots: Slots | None = None
    background_check: BackgroundCheck = BackgroundCheck()
    aircraft_bias: AircraftBias = AircraftBias()
    retention: Retention = Retention()


def load(path: Path) -> Settings:
    """The experiment file; raises UserError where it is wrong, or does not leave the method what it needs."""
    settings = config.load(path, Settings)
    _refuse_unmet(settings)
    return settings


def _refuse_unmet(settings: Settings) -> None:
    needs, kept = settings.neural.needs, settings.retention.members_hours
    name, reach = settings.neural.__struct_config__.tag, (needs.earlier_analyses - 1) * settings.experiment.step_hours
    if needs.slots and settings.slots is None:
        raise UserError(f'[neural] method = "{name}" compares observations with the background at slots: add a section '
                        "[slots], for the model server too")
    if needs.model and settings.slots is not None:
        _refuse_window(name, settings.slots, settings.experiment)
    if needs.earlier_analyses and kept is not None and kept < reach:
        raise UserError(f'[neural] method = "{name}" needs the analyses of {needs.earlier_analyses} times before, and '
                        f"[retention] members_hours = {kept} lets them go: keep them for {reach} hours")


def _refuse_window(name: str, slots: Slots, experiment: config.Experiment) -> None:
    first, last = slots.window_hours
    if first < 0 or last > experiment.step_hours:
        raise UserError(f'[neural] method = "{name}" analyses the state at the beginning of its window, which the next '
                        f"one follows: expected [slots] window_hours from 0 to at most [experiment] step_hours = "
                        f"{experiment.step_hours}, got {list(slots.window_hours)}")
