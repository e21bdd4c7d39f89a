"""The analysis program: background members and observations in, analysis members and departures out.

    mpirun -n 32 python -m letkf_mpi.analysis EXPERIMENT.toml 1989010106     # one time
    mpirun -n 32 python -m letkf_mpi.analysis EXPERIMENT.toml --follow       # all times, each when its inputs are there

Member-parallel H(x) and files, column-parallel local analyses, an all-to-all exchange between them; the same bits
for any number of ranks.  `departures.nc` is written last: its presence says that the analysis is complete.
"""

import argparse
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial

import numpy as np

from contracts import config, ensemble, frozen, humidity, paths, program, static, times
from contracts.analysis import Writer, each_time, next_time, parse
from contracts.follow import Follower
from contracts.observations import Departures, Observations, Source
from contracts.phases import Phases
from contracts.state import StateSpace
from contracts.static import Static
from letkf_mpi import files, memory, parameters, summary
from letkf_mpi.config import Settings
from letkf_mpi.kernel import lanes
from letkf_mpi.local import tempering, tile_kernel, tiles
from letkf_mpi.local.columns import Columns, share_tiles
from letkf_mpi.local.update import Diagnostics, LocalAnalysis
from letkf_mpi.ranks.layouts import Layouts, Members
from letkf_mpi.ranks.node_memory import NodeMemory
from letkf_mpi.ranks.parallel import World, guarded, nothing
from letkf_mpi.ranks.static_states import StaticStates
from letkf_mpi.static import additive
from obsoperator import Forward, accounts, aircraft_bias, comparison
from obsoperator.departures import FirstGuess, Used
from obsoperator.own_time import AtSlots, Between

PROGRAM = "letkf_mpi.analysis"
log = logging.getLogger(PROGRAM)


@dataclass(frozen=True)
class Analyst:
    """What the analyses of all times of an experiment share; each part is made once, when it is first asked for."""

    world: World
    settings: Settings

    @cached_property
    def space(self) -> StateSpace:
        return self.settings.state.space(self.settings.grid.grid())

    @cached_property
    def static(self) -> Static:
        """Asked for by all ranks at once."""
        return self.world.shared(static.read, self.settings.experiment.folder.static, self.space.grid)

    @cached_property
    def members(self) -> Members:
        return Members(self.world, self.settings.experiment.members)

    @cached_property
    def static_states(self) -> StaticStates | None:
        """Where the settings have a static set."""
        return StaticStates.of(self.settings, self.space, self.world)

    @cached_property
    def tiles(self) -> tuple[np.ndarray, ...]:
        """Columns of every tile of the grid."""
        return tiles.blocks(self.space.grid, self.settings.analysis.tile)

    def operator(self, table: Observations) -> Forward:
        """H of the rows of a table."""
        return Forward.of(table, self.space, self.static, self.settings.analysis.max_height_difference_m)

    def seed(self, time: datetime) -> tuple[int, int]:
        """Of everything random at a time."""
        return self.settings.experiment.seed, int(times.name(time))

    def size(self, nobs: int) -> memory.Size:
        """What decides the memory of an analysis with `nobs` observations."""
        chosen = self.settings.analysis
        return memory.Size(self.members.count, len(self.space.channels), self.space.grid.size,
                           self.space.analysis_levels.size, nobs, self.world.size, self.world.largest_node,
                           Layouts.group_bytes, chosen.static.size if chosen.static else 0, chosen.solver.needs_noise,
                           chosen.is_tempered, chosen.time != "instant")

    def writer(self, time: datetime) -> Writer:
        """Of the products of a time."""
        experiment = self.settings.experiment
        return Writer(experiment.folder.at(time), self.space, time, experiment.name)

    def at(self, time: datetime) -> None:
        """Make the analysis of `time` and keep its log; raises UserError where inputs or results do not fit."""
        experiment, world = self.settings.experiment, self.world
        with ExitStack() as stack:
            path = experiment.folder.at(time).log("analysis")
            world.at_root(stack.enter_context, program.logging_to_file(path))
            if world.is_root:
                log.info("analysis of %s: experiment %s, %d members on %d rank(s)", times.name(time), experiment.name,
                         experiment.members, world.size)
            analyse(self, time)


def analyse(analyst: Analyst, time: datetime) -> None:
    """All files of the analysis of `time`."""
    world, settings, space, members = analyst.world, analyst.settings, analyst.space, analyst.members
    phase, out = Phases(), analyst.writer(time)

    with NodeMemory(world) as node:
        with phase("read"):
            table, source = node.shared(aircraft_bias.read_observations, settings.aircraft_bias,
                                        settings.experiment, time)
            expect_memory(analyst, len(table))
            inflation, alpha = node.shared(files.read_learned, settings, space, time)
            background = read_background(analyst, time)
        with phase("H(x)"):
            H = analyst.operator(table.select(members.mine.of(len(table))))
            guess = compare(analyst, H, table, background, time)
            climate = analyst.static_states
            Y_static = climate.observed(table, analyst.static) if climate else None
            used = node.shared(FirstGuess.used, guess, settings.analysis.solver.needs_noise, Y_static)
            augmented = settings.parameters
            estimate = augmented and world.at_root(parameters.estimate, augmented, settings.experiment, time, used)
        with phase("share"):
            plan = share_tiles(world, analyst.tiles, space.grid, settings, used)
        with phase("exchange"):
            layouts = Layouts(members, len(space.channels), plan.columns)
            mine = Columns(plan.tiles[world.rank], layouts.to_columns(background), settings.analysis.threads)
            del background
            X_static = climate.at(plan.columns) if climate else None
        with phase("local analyses"):
            local = LocalAnalysis(space, used, settings, analyst.seed(time), X_static)
            observe = partial(observed_again, analyst, phase, layouts, mine, H, guess, len(table))
            diagnostics = tempering.analyse(mine, local, inflation, alpha, observe)
        with phase("diagnostics"):
            seconds = world.of_each_rank(mine.seconds)
            diagnostics = diagnostics.each(layouts.gather)
            world.at_last(files.check, diagnostics, space, settings.analysis.least_spread)
        with phase("exchange"):
            analysis = members.whole(layouts.to_members(mine.X))
            del mine, observe
        with phase("H(x)"):
            hxa = members.gather(H.apply(analysis), len(table))
        with phase("write"):
            if estimate:
                out.parameters(estimate.after)
            final = write(analyst, out, analysis, diagnostics, partial(FirstGuess.with_analysis, guess, hxa), source)
        for line in estimate.lines() if estimate else ():
            log.info("%s", line)
        tell(analyst, phase, final, diagnostics, local.levels, summary.balance_line(seconds, plan.work))


def read_background(analyst: Analyst, time: datetime, offset: timedelta = timedelta()) -> np.ndarray:
    """The background (my members, my channels, column) of the analysis of `time`, at the slot `offset` from it, with
    the draws of additive inflation where the settings ask for them: the same at all slots."""
    world, settings, space, mine = analyst.world, analyst.settings, analyst.space, analyst.members.mine
    experiment, additive_inflation = settings.experiment, settings.inflation.additive
    channels, folder = mine.of(len(space.channels)), experiment.folder.at(time).background
    found = world.together(ensemble.read_members, folder.slot(offset) if offset else folder, mine.members, space,
                           time + offset, channels)
    if additive_inflation is None:
        return found
    part, below_hpa = StateSpace(space.grid, space.channels[channels]), settings.analysis.humidity_below_hpa
    found, clipped = world.together(additive.added, found, additive_inflation, experiment, time, mine.members, part,
                                    below_hpa)
    total = sum(world.of_each_rank(clipped))
    if world.is_root and not offset:
        log.info("additive inflation: %d negative humidities set to 0", total)
    return found


def compare(analyst: Analyst, H: Forward, table: Observations, background: np.ndarray, time: datetime) -> FirstGuess:
    """The fate of every observation from `background` (my members, my channels, column), on rank 0; `H` of my rows."""
    members, settings = analyst.members, analyst.settings
    whole = members.whole(background)
    mine = comparison.observe(H, whole, at_slots(analyst, table.select(members.mine.of(len(table))), whole, time))
    found = mine.each(lambda of_mine: members.gather(of_mine.T, len(table)), members.whole(mine.flag[None])[0])
    return analyst.world.at_root(comparison.judge, table, found, settings.background_check, analyst.seed(time),
                                 settings.analysis.time)


def at_slots(analyst: Analyst, table: Observations, background: np.ndarray, time: datetime) -> AtSlots | None:
    """My members at slots around `time`, and where the rows of `table` lie between them; None where all is compared at
    the analysis time.  `background` (my members, channel, column)."""
    if not (slots := analyst.world.shared(files.slots, analyst.settings, time)):
        return None

    def states(number: int) -> np.ndarray:
        slot = slots[number]
        return analyst.members.whole(read_background(analyst, time, slot)) if slot else background

    between = Between.of(table.time - times.to_seconds(time), np.array([slot.total_seconds() for slot in slots]))
    return AtSlots(between, len(slots), states)


@contextmanager
def observed_again(analyst: Analyst, phase: Phases, layouts: Layouts, mine: Columns, H: Forward,
                   guess: FirstGuess, nobs: int) -> Iterator[Used]:
    """What the next part of an analysis sees of the columns as they are; its arrays last as long as the block."""
    members = analyst.members
    with NodeMemory(analyst.world) as node:
        with phase("exchange"):
            analysis = members.whole(layouts.to_members(mine.X))
        with phase("H(x)"):
            hx = members.gather(H.apply(analysis), nobs)
            del analysis
            used = node.shared(lambda: guess.again(hx).used())
        yield used


def write(analyst: Analyst, out: Writer, analysis: np.ndarray, diagnostics: Diagnostics,
          final: Callable[[], Departures], source: Source) -> Departures:
    """Members, and of the last rank statistics of the grid; meanwhile rank 0 makes `final`, which is written last."""
    world, mine, settings = analyst.world, analyst.members.mine, analyst.settings

    def of_this_rank(disk: paths.Disk) -> Departures:
        if mine.writes:
            out.members(analysis, mine.members, disk)
        if world.rank == world.last:
            files.write_statistics(out, diagnostics, settings, disk)
        return final() if world.is_root else nothing()

    with ExitStack() as flushing:
        disk = flushing.enter_context(paths.side_by_side())
        table = world.together(of_this_rank, disk)
        world.together(flushing.close)
    world.at_root(aircraft_bias.learn, settings.aircraft_bias, settings.experiment, out.time, table)
    world.at_root(out.last, table, source)
    return table


def tell(analyst: Analyst, phase: Phases, table: Departures, diagnostics: Diagnostics, levels: np.ndarray,
         balance: str) -> None:
    """The end of the log."""
    world, humid = analyst.world, int(humidity.humid(analyst.space).sum()) * analyst.settings.experiment.members
    peaks = world.of_each_rank(memory.peak())
    warning = world.of_last(summary.clipping, diagnostics, humid)
    told = world.of_last(summary.analysis_lines, diagnostics, levels)
    if world.is_root:
        for line in (*accounts.observations_table(table), *told, balance, memory.peak_line(peaks), phase.line()):
            log.info("%s", line)
        if warning:
            log.warning("%s", warning)


def expect_memory(analyst: Analyst, nobs: int) -> None:
    """Tell what the analysis of `nobs` observations will need; raises UserError where that is more than allowed."""
    estimate = memory.estimate(analyst.size(nobs))
    if analyst.world.is_root:
        log.info("%s", estimate)
    analyst.world.together(estimate.refuse_above, analyst.settings.analysis.memory_gb)


def main(world: World, arguments: Sequence[str]) -> None:
    """Read the command line and the experiment; analyse the time asked for, or all of them."""
    chosen = world.shared(_parse, arguments)
    settings = world.shared(config.load, chosen.experiment, Settings)
    experiment, analyst = settings.experiment, Analyst(world, settings)
    instructions = world.of_each_rank(world.together(tile_kernel.instructions, settings))
    world.together(lanes.refuse_mixed, instructions)
    if chosen.follow:
        world.at_root(frozen.refuse_other, chosen.experiment, experiment)
        with Follower(experiment, PROGRAM, world.patiently) as follower:
            for time in each_time(experiment, follower):
                analyst.at(time)
        return
    time = world.shared(experiment.time_of, chosen.time) if chosen.time else world.shared(next_time, experiment)
    complete = experiment.folder.at(time).departures
    if not world.shared(complete.exists):
        analyst.at(time)
    elif world.is_root:
        log.info("%s exists: the analysis of %s is complete, nothing to do", complete, times.name(time))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    return parse(arguments, PROGRAM, "Make the LETKF analysis of a time from its background and observations.",
                 "mpirun -n 4 python -m letkf_mpi.analysis run/experiments/twin_speedy.toml 1989010106")


if __name__ == "__main__":
    guarded(main, PROGRAM)
