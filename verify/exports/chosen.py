"""Which states of an experiment are handed on: an ensemble, its members or its mean and spread, of which times."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from importlib import import_module
from typing import Any, Literal

import numpy as np

from contracts import ensemble, members, state
from contracts.errors import UserError
from contracts.paths import EnsembleFolder
from contracts.state import StateSpace
from verify.config import Settings

OF = ("analysis", "background")


@dataclass(frozen=True)
class Chosen:
    """States of one ensemble; with `moments` its mean and spread instead of its members."""

    settings: Settings
    of: Literal["analysis", "background"]
    moments: bool

    @cached_property
    def space(self) -> StateSpace:
        return self.settings.state.space(self.settings.grid.grid())

    @property
    def members(self) -> int:
        return self.settings.experiment.members

    def times(self) -> list[datetime]:
        """Those that have the states; raises UserError where none has, or the members of one are no longer kept."""
        experiment = self.settings.experiment
        found = [time for time in experiment.times() if self.ensemble(time).is_complete(0)]
        if not found:
            raise UserError(f"{experiment.folder.folder}: no time has a complete {self.of} yet; run: run/cycle.sh "
                            "EXPERIMENT.toml")
        gone = [] if self.moments else [
            one for one in map(self.ensemble, found) if len(members.there(one, self.members)) < self.members]
        if gone:
            raise UserError(f"{gone[0].folder}: its members are not there, nor those of {len(gone) - 1} other times "
                            "([retention] lets them go); take mean and spread with --moments")
        return found

    def ensemble(self, time: datetime) -> EnsembleFolder:
        here = self.settings.experiment.folder.at(time)
        return here.analysis if self.of == "analysis" else here.background

    def each_member(self, time: datetime) -> Iterator[np.ndarray]:
        """float32 (channel, lat, lon) of each member in turn."""
        return ensemble.stored(self.ensemble(time), self.members, self.space, time)

    def mean_and_spread(self, time: datetime) -> tuple[np.ndarray, np.ndarray]:
        """float32 (channel, lat, lon) each."""
        here = self.ensemble(time)
        return state.read(here.mean, self.space, time).data, state.read(here.spread, self.space, time).data


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--of` and `--moments`."""
    parser.add_argument("--of", choices=OF, default="analysis", help="which ensemble [analysis]")
    parser.add_argument("--moments", action="store_true", help="its mean and spread instead of its members")


def need(module: str, extra: str, what: str) -> Any:
    """The module of a package that only this form takes; raises UserError that says how it is had."""
    try:
        return import_module(module)
    except ImportError as error:
        raise UserError(f"{what} takes {module}, which cannot be imported ({error}): pip install "
                        f"'letkf-mpi[{extra}]'") from None
