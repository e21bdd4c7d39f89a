"""The analysis program: background members and observations in, analysis members and departures out.

    mpirun -n 32 python -m letkf_mpi.analysis EXPERIMENT.toml 1989010106     # one time
    mpirun -n 32 python -m letkf_mpi.analysis EXPERIMENT.toml --follow       # all times, each when its inputs are there

Member-parallel H(x) and files, column-parallel local analyses, an all-to-all exchange between them; the same bits
for any number of ranks.  `departures.nc` is written last: its presence says that the analysis is complete.
"""

import argparse
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property, partial

import numpy as np

from contracts import config, ensemble, frozen, humidity, paths, program, static, times
from contracts.analysis import Writer, each_time, next_time, parse
from contracts.follow import Follower
from contracts.observations import Departures, Observations
from contracts.phases import Phases
from contracts.state import StateSpace
from contracts.static import Static
from letkf_mpi import files, memory, parameters, summary
from letkf_mpi.config import Settings
from letkf_mpi.kernel import lanes
from letkf_mpi.local import tempering, tile_kernel, tiles
from letkf_mpi.local.columns import Columns, Plan, share_tiles
from letkf_mpi.local.localization import Sites
from letkf_mpi.local.update import LocalAnalysis
from letkf_mpi.products import Products
from letkf_mpi.ranks.exchange import to_root
from letkf_mpi.ranks.layouts import GROUP_BYTES, Layouts, Members
from letkf_mpi.ranks.node_memory import NodeMemory
from letkf_mpi.ranks.observing import Observing
from letkf_mpi.ranks.parallel import World, guarded
from letkf_mpi.ranks.static_states import StaticStates
from letkf_mpi.shares import ByShares
from letkf_mpi.static import additive
from letkf_mpi.totals import Totals
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
                           GROUP_BYTES, chosen.static.size if chosen.static else 0, chosen.solver.needs_noise,
                           chosen.is_tempered, chosen.time != "instant")

    def writer(self, time: datetime) -> Writer:
        """Of the products of a time."""
        experiment = self.settings.experiment
        return Writer(experiment.folder.at(time), self.space, time, experiment.name, experiment.one_file_of)

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
            inflation, alpha = files.learned(node.shared, settings, space, time)
            background = read_background(analyst, time)
        with phase("H(x)"):
            seen = Observing.of(world, table, len(space.channels), analyst.operator)
            guess, flag = compare(analyst, seen, table, background, time)
            climate = analyst.static_states
            Y_static = climate.observed(seen) if climate else None
            used = whole(node, guess.used(settings.analysis.solver.needs_noise, Y_static))
            augmented = settings.parameters
            estimate = augmented and world.at_root(parameters.estimate, augmented, settings.experiment, time, used)
        with phase("share"):
            sites = Sites.of(used.lat, used.lon, node.by_shares)
            plan = share_tiles(world, analyst.tiles, space.grid, settings, sites)
        with phase("exchange"):
            by_member = Layouts(world, members.shares, len(space.channels), plan.columns)
            mine = Columns(plan.tiles[world.rank], by_member.to_columns(background), settings.analysis.threads)
            del background
            X_static = climate.at(plan.columns) if climate else None
        with phase("local analyses"):
            local = LocalAnalysis(space, used, settings, analyst.seed(time), X_static, 1.0, node.by_shares, sites)
            observe = partial(observed_again, world, phase, seen, plan, mine, guess)
            told = tempering.analyse(mine, local, inflation, alpha, observe)
        with phase("diagnostics"):
            seconds = world.of_each_rank(mine.seconds)
            totals = Totals.of(world, told, space.grid.area_weights.reshape(-1)[mine.columns] / space.grid.size)
            world.together(files.check, totals, space, settings.analysis.least_spread)
        with phase("H(x)"):
            hxa = seen.H.apply(seen.in_columns(plan.columns, mine.X)).T
        with phase("exchange"):
            products = Products.of(world, out, settings, plan.columns, mine.X, told)
            del mine, observe, told
        with phase("write"):
            if estimate:
                out.parameters(estimate.after)
            with ExitStack() as appearing:
                kept = appearing.enter_context(paths.withheld())
                with written(world, out, products):
                    final = departures(world, table, flag, guess.with_analysis(hxa))
                    world.at_root(out.last, final, source, kept)
                world.at_root(aircraft_bias.learn, settings.aircraft_bias, settings.experiment, time, final)
                world.together(appearing.close)
        for line in estimate.lines() if estimate else ():
            log.info("%s", line)
        tell(analyst, phase, final, products, totals, summary.balance_line(seconds, plan.work))


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


def compare(analyst: Analyst, seen: Observing, table: Observations, background: np.ndarray,
            time: datetime) -> tuple[FirstGuess, np.ndarray]:
    """The fate of my rows of `table` from `background` (my members, my channels, column), and on rank 0 of all rows."""
    world, settings = analyst.world, analyst.settings
    X, mine = seen.in_members(analyst.members, background), table.select(seen.rows)
    found = comparison.observe(seen.H, X, at_slots(analyst, seen, mine, X, time))
    guess = comparison.decide(mine, found, settings.background_check, analyst.seed(time), settings.analysis.time,
                              lambda few: np.concatenate(world.of_each_rank(few)))
    flag = to_root(world, guess.table.flag)
    world.at_root(comparison.tell, table, flag, settings.background_check)
    compared_before = sum(world.of_each_rank(guess.compared.size)[: world.rank])
    return replace(guess, before=seen.rows.start, compared_before=compared_before), flag


def at_slots(analyst: Analyst, seen: Observing, mine: Observations, X: np.ndarray, time: datetime) -> AtSlots | None:
    """All members at slots around `time`, and where my rows of the table lie between them; None where all is compared
    at the analysis time.  `X` of the background then, and of every state what H reads of it (member, 1, entry)."""
    if not (slots := analyst.world.shared(files.slots, analyst.settings, time)):
        return None

    def states(number: int) -> np.ndarray:
        slot = slots[number]
        return seen.in_members(analyst.members, read_background(analyst, time, slot)) if slot else X

    between = Between.of(mine.time - times.to_seconds(time), np.array([slot.total_seconds() for slot in slots]))
    return AtSlots(between, len(slots), states)


def whole(node: NodeMemory, mine: Used) -> Used:
    """What the analysis sees of all rows, from what it sees of those of each rank."""
    parts = {name: part for name, part in vars(mine).items() if part is not None}
    return Used(**dict(zip(parts, node.joined(list(parts.values())), strict=True)))


@contextmanager
def observed_again(world: World, phase: Phases, seen: Observing, plan: Plan, mine: Columns,
                   guess: FirstGuess) -> Iterator[tuple[Used, ByShares]]:
    """What the next part of an analysis sees of the columns as they are; its arrays last as long as the block."""
    with NodeMemory(world) as node:
        with phase("H(x)"):
            hx = seen.H.apply(seen.in_columns(plan.columns, mine.X)).T
            used = whole(node, guess.again(hx).used())
        yield used, node.by_shares


@contextmanager
def written(world: World, out: Writer, products: Products) -> Iterator[None]:
    """All files but departures are there when the block ends, within which they are flushed.

    Where all members go into one file each rank writes its part, and rank 0 puts them together.
    """
    world.at_root(out.begin_anew)
    with ExitStack() as appearing:
        kept = appearing.enter_context(paths.withheld())
        with ExitStack() as flushing:
            products.write(world, out, flushing.enter_context(paths.side_by_side()), kept)
            yield
            world.together(flushing.close)
        if products.in_teams:
            world.together(appearing.close)
    world.at_root(out.settle)


def departures(world: World, table: Observations, flag: np.ndarray, mine: Departures) -> Departures:
    """The whole table with its fates on rank 0, from my rows; None elsewhere."""
    names = [name for name in vars(mine) if name not in vars(table)]
    columns = to_root(world, np.stack([getattr(mine, name) for name in names]))
    return world.at_root(lambda: Departures(**vars(table) | {"flag": flag} | dict(zip(names, columns, strict=True))))


def tell(analyst: Analyst, phase: Phases, table: Departures, products: Products, totals: Totals, balance: str) -> None:
    """The end of the log."""
    world, space = analyst.world, analyst.space
    peaks = world.of_each_rank(memory.peak())
    told = world.of_each_rank({name: summary.ranges(name, data) for name, data in products.fields.items()})
    if not world.is_root:
        return
    ranges: dict[str, list[str]] = {}
    for name, of_levels in (item for of_rank in told for item in of_rank.items()):  # parts go upwards with the rank
        ranges.setdefault(name, []).extend(of_levels)
    lines = summary.analysis_lines(ranges, space.analysis_levels, totals.clipped)
    for line in (*accounts.observations_table(table), *lines, balance, memory.peak_line(peaks), phase.line()):
        log.info("%s", line)
    humid = int(humidity.humid(space).sum()) * analyst.settings.experiment.members * space.grid.size
    if warning := summary.clipping(totals.clipped, humid):
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
