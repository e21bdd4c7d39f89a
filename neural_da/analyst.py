"""The analysis of one time, from files to files: read, look ahead, H(x), analyse, look, write.

`departures.nc` is written last: its presence says that the analysis is complete.  Nothing that decides a result is kept
from one time to the next but in files.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import cast

import numpy as np

from contracts import paths, program, static, times
from contracts.analysis import Writer
from contracts.observations import Source
from contracts.phases import Phases
from contracts.state import StateSpace
from contracts.static import Static
from neural_da import check, files, memory, observe
from neural_da.config import Settings
from neural_da.draws import Draws
from neural_da.method import Analysed, Carrying, Method
from neural_da.observe import Compared
from neural_da.problem import Problem
from obsoperator import accounts, aircraft_bias

log = logging.getLogger("neural_da.analysis")


@dataclass(frozen=True)
class Analyst:
    """What the analyses of all times of an experiment share; each part is made once, when it is first asked for."""

    settings: Settings

    @cached_property
    def space(self) -> StateSpace:
        return self.settings.state.space(self.settings.grid.grid())

    @cached_property
    def static(self) -> Static:
        return static.read(self.settings.experiment.folder.static, self.space.grid)

    @cached_property
    def method(self) -> Method:
        """Raises UserError where its files do not fit."""
        return self.settings.neural.prepared(self.settings.experiment, self.space)

    def carried(self, X: np.ndarray, time: datetime) -> Mapping[timedelta, np.ndarray]:
        """Members `X` (k, channel, column) at the slots after `time`, by a method that has a model; else none."""
        if not self.settings.neural.needs.model or self.settings.slots is None:
            return {}
        return cast(Carrying, self.method).carried(X, time, self.settings.slots.around)

    def at(self, time: datetime, members: np.ndarray | None = None, rest: bool = False) -> None:
        """Make the analysis of `time` and keep its log: of `members` (m,) alone, or of the `rest`, where that is asked.

        Raises UserError where inputs or results do not fit.
        """
        experiment = self.settings.experiment
        with program.logging_to_file(experiment.folder.at(time).log("analysis")):
            log.info("analysis of %s: experiment %s, %d members, method %s", times.name(time), experiment.name,
                     experiment.members, self.settings.neural.__struct_config__.tag)
            analyse(self, time, members, rest)


def analyse(analyst: Analyst, time: datetime, members: np.ndarray | None, rest: bool) -> None:
    """All files of the analysis of `time`, or some of its members."""
    settings, space, method = analyst.settings, analyst.space, analyst.method
    experiment, neural, phase = settings.experiment, settings.neural, Phases()
    out = Writer(experiment.folder.at(time), space, time, experiment.name, experiment.one_file_of)
    with phase("read"):
        table, source = aircraft_bias.read_observations(settings.aircraft_bias, experiment, time)
        memory.expect(settings, space, method, len(table))
        given = files.read(settings, space, settings.neural.needs, time)
    with phase("H(x)"):
        slots = given.slots or analyst.carried(given.background, time)
        compared = observe.compare(settings, space, analyst.static, table, given.background, slots, time)
    with phase("analysis"):
        wanted = np.arange(experiment.members) if members is None else members
        if rest:
            wanted = np.flatnonzero(~files.there(out.files, experiment.members))
        problem = Problem(time, space, given.background, compared.terms(), wanted, len(table), slots,
                          given.earlier, given.carried)
        found = method.analyse(problem, Draws(experiment.seed, time, experiment.members))
        found = replace(found, members=check.sane(found.members, given.background[wanted], space,
                                                  neural.humidity_below_hpa))
    if members is None:
        finish(analyst, out, given.background, compared, found, wanted, source, phase)
    else:
        with phase("write"), paths.side_by_side() as disk:
            out.members(found.members, wanted, disk, found.course)
    for line in (f"{len(wanted)} of {experiment.members} members analysed", memory.peak_line(), phase.line()):
        log.info("%s", line)


def finish(analyst: Analyst, out: Writer, background: np.ndarray, compared: Compared, found: Analysed,
           wanted: np.ndarray, source: Source, phase: Phases) -> None:
    """All files but those of members that are there: of the members `wanted`, of all together, `departures.nc` last."""
    settings = analyst.settings
    whole = files.whole(out, found.members, wanted, settings.experiment.members)
    mean, spread = check.moments(whole, background, analyst.space, settings.neural.least_spread)
    with phase("H(x)"):
        final = compared.final(whole, analyst.carried(whole, out.time))
    with phase("write"):
        with paths.side_by_side() as disk:
            out.members(found.members, wanted, disk, found.course)
            out.statistics(mean, spread, disk)
            files.write_beside(out, found, disk)
        out.settle()
        aircraft_bias.learn(settings.aircraft_bias, settings.experiment, out.time, final)
        out.last(final, source)
    for line in accounts.observations_table(final):
        log.info("%s", line)
