"""The analysis program: background members and observations in, analysis members and departures out.

    mpirun -n 32 python -m letkf_mpi.analysis EXPERIMENT.toml 1989010106     # one time
    mpirun -n 32 python -m letkf_mpi.analysis EXPERIMENT.toml --follow       # all times, each when its inputs are there

Member-parallel H(x) and files, column-parallel local analyses, an all-to-all exchange between them; the same bits
for any number of ranks.  `departures.nc` is written last: its presence says that the analysis is complete.
"""

import argparse
import logging
import time as clock
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property

import numpy as np

from contracts import config, frozen, observations, paths, program, static, times
from contracts.observations import Departures, Observations
from contracts.state import StateSpace
from contracts.static import Static
from letkf_mpi import additive, departures, files, memory, service, summary, tile_kernel, tiles
from letkf_mpi.config import Settings
from letkf_mpi.departures import FirstGuess, Used
from letkf_mpi.layouts import Layouts, Members, part_of
from letkf_mpi.localization import Neighbours
from letkf_mpi.node_memory import NodeMemory
from letkf_mpi.obsoperator import ObservationOperator
from letkf_mpi.parallel import World, guarded, nothing
from letkf_mpi.solvers import lanes
from letkf_mpi.static_states import StaticStates
from letkf_mpi.update import ColumnsAnalysis, Diagnostics, LocalAnalysis, analysis_levels

PROGRAM = "letkf_mpi.analysis"
log = logging.getLogger(PROGRAM)
_SECONDS_BETWEEN_REPORTS = 10.0


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
        return self.world.shared(lambda: static.read(self.settings.experiment.folder.static, self.space.grid))

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

    def size(self, nobs: int) -> memory.Size:
        """What decides the memory of an analysis with `nobs` observations."""
        chosen = self.settings.analysis
        return memory.Size(self.members.count, len(self.space.channels), self.space.grid.size,
                           analysis_levels(self.space).size, nobs, self.world.size, self.world.largest_node,
                           Layouts.group_bytes, chosen.static.size if chosen.static else 0,
                           chosen.solver.needs_noise)  # fmt: skip

    def at(self, time: datetime) -> None:
        """Make the analysis of `time` and keep its log; raises UserError where inputs or results do not fit."""
        experiment, world = self.settings.experiment, self.world
        with ExitStack() as stack:
            path = experiment.folder.at(time).log("analysis")
            world.at_root(lambda: stack.enter_context(program.logging_to_file(path)))
            if world.is_root:
                log.info("analysis of %s: experiment %s, %d members on %d rank(s)", times.name(time), experiment.name,
                         experiment.members, world.size)
            analyse(self, time)


def analyse(analyst: Analyst, time: datetime) -> None:
    """All files of the analysis of `time`."""
    world, settings, space, members = analyst.world, analyst.settings, analyst.space, analyst.members
    experiment, mine = settings.experiment, analyst.members.mine
    seed = (experiment.seed, int(times.name(time)))
    phase, out = summary.Phases(), files.Writer(experiment.folder.at(time), space, time, experiment.name)

    with NodeMemory(world) as node:
        with phase("read"):
            table, source = node.shared(lambda: files.read_observations(experiment, time))
            expect_memory(analyst, len(table))
            inflation = node.shared(lambda: files.read_inflation(settings, space, time))
            alpha = node.shared(lambda: files.read_alpha(settings, space, time))
            channels = mine.of(len(space.channels))
            background = world.together(
                lambda: files.read_members(out.files.background, mine.members, space, time, channels))
            background = with_additive_inflation(analyst, time, background)
        with phase("H(x)"):
            H = ObservationOperator.of(table.select(mine.of(len(table))), space, analyst.static,
                                       settings.analysis.max_height_difference_m)  # fmt: skip
            guess = compare(analyst, H, table, background, seed)
            climate = analyst.static_states
            Y_static = climate.observed(table, analyst.static) if climate else None
            used = node.shared(lambda: guess.used(settings.analysis.solver.needs_noise, Y_static))
        with phase("share"):
            plan = share_tiles(analyst, used)
        with phase("exchange"):
            layouts = Layouts(members, len(space.channels), plan.columns)
            X = layouts.to_columns(background)
            del background
            X_static = climate.at(plan.columns) if climate else None
        with phase("local analyses"):
            local = LocalAnalysis(space, used, settings, seed, X_static)
            diagnostics, took = local_analyses(world, local, plan, X, inflation, alpha)
        with phase("diagnostics"):
            seconds = world.of_each_rank(took)
            diagnostics = diagnostics.each(layouts.gather)
            world.at_last(lambda: files.check(diagnostics, space, settings.analysis.least_spread))
        with phase("exchange"):
            analysis = members.whole(layouts.to_members(X))
            del X
        with phase("H(x)"):
            hxa = members.gather(H.apply(analysis), len(table))
        with phase("write"):
            final = write(analyst, out, analysis, diagnostics, lambda: guess.with_analysis(hxa))
            world.at_root(lambda: observations.write(out.files.departures, final, source, experiment.name))
        tell(world, phase, final, diagnostics, local.levels, summary.balance_line(seconds, plan.work))


def with_additive_inflation(analyst: Analyst, time: datetime, background: np.ndarray) -> np.ndarray:
    """`background` (my members, my channels, column) with its draws, where [inflation.additive] asks for them."""
    world, settings, mine = analyst.world, analyst.settings, analyst.members.mine
    chosen, below_hpa = settings.inflation.additive, settings.analysis.humidity_below_hpa
    if chosen is None:
        return background
    part = StateSpace(analyst.space.grid, analyst.space.channels[mine.of(len(analyst.space.channels))])
    found, clipped = world.together(lambda: additive.added(background, chosen, settings.experiment, time, mine.members,
                                                           part, below_hpa))  # fmt: skip
    total = sum(world.of_each_rank(clipped))
    if world.is_root:
        log.info("additive inflation: %d negative humidities set to 0", total)
    return found


def compare(analyst: Analyst, H: ObservationOperator, table: Observations, background: np.ndarray,
            seed: tuple[int, ...]) -> FirstGuess:  # fmt: skip
    """The fate of every observation from `background` (my members, my channels, column), on rank 0."""
    members, check = analyst.members, analyst.settings.background_check
    whole = members.whole(background)
    hx, ground = (members.gather(observed(whole), len(table)) for observed in (H.apply, H.ground_pressure))
    flag = members.whole(H.flag[None])[0]
    return analyst.world.at_root(lambda: departures.first_guess(table, hx, ground, flag, check, seed))


def write(analyst: Analyst, out: files.Writer, analysis: np.ndarray, diagnostics: Diagnostics,
          final: Callable[[], Departures]) -> Departures:  # fmt: skip
    """All files but the last: members, and of the last rank statistics of the grid; meanwhile rank 0 makes `final`."""
    world, mine, settings = analyst.world, analyst.members.mine, analyst.settings

    def of_this_rank(disk: paths.Disk) -> Departures:
        if mine.writes:
            out.members(analysis, mine.members, disk)
        if world.rank == world.last:
            out.statistics(diagnostics, disk)
            if settings.analysis.solver.has_signal:
                out.signal(diagnostics, disk)
            if settings.relaxation.is_carried:
                out.alpha(diagnostics, disk)
        return final() if world.is_root else nothing()

    with ExitStack() as flushing:
        disk = flushing.enter_context(paths.side_by_side())
        table = world.together(lambda: of_this_rank(disk))
        world.together(flushing.close)
    return table


def tell(world: World, phase: summary.Phases, table: Departures, diagnostics: Diagnostics, levels: np.ndarray,
         balance: str) -> None:  # fmt: skip
    """The end of the log."""
    peaks = world.of_each_rank(memory.peak())
    told = world.of_last(lambda: summary.analysis_lines(diagnostics, levels))
    if world.is_root:
        for line in (*summary.observations_table(table), *told, balance, memory.peak_line(peaks), phase.line()):
            log.info("%s", line)


def expect_memory(analyst: Analyst, nobs: int) -> None:
    """Tell what the analysis of `nobs` observations will need; raises UserError where that is more than allowed."""
    estimate = memory.estimate(analyst.size(nobs))
    if analyst.world.is_root:
        log.info("%s", estimate)
    analyst.world.together(lambda: estimate.refuse_above(analyst.settings.analysis.memory_gb))


@dataclass(frozen=True)
class Plan:
    """Which tiles each rank analyses, as column numbers, and the `work` (rank,) that is expected of them."""

    tiles: tuple[tuple[np.ndarray, ...], ...]  # of each rank
    work: np.ndarray

    @property
    def columns(self) -> tuple[np.ndarray, ...]:
        """Columns of each rank, tile after tile."""
        return tuple(np.concatenate([*mine, np.empty(0, dtype=np.intp)]) for mine in self.tiles)


def share_tiles(analyst: Analyst, used: Used) -> Plan:
    """Give tiles to ranks by the work that the observations around them promise; each rank counts for some of them."""
    world, blocks, grid, settings = analyst.world, analyst.tiles, analyst.space.grid, analyst.settings
    mine = part_of(slice(0, len(blocks)), world.rank, world.size)
    centres = np.array([block[block.size // 2] for block in blocks[mine]], dtype=np.intp)
    counted = Neighbours(used.lat, used.lon).counts(grid.column_lat[centres], grid.column_lon[centres],
                                                    settings.localization.reach_km)  # fmt: skip
    work = tiles.work(blocks, np.concatenate(world.of_each_rank(counted)), settings.experiment.members)
    shares = tiles.share(work, world.size)
    return Plan(tuple(tuple(blocks[tile] for tile in tiles_of_rank) for tiles_of_rank in shares),
                np.array([work[list(tiles_of_rank)].sum() for tiles_of_rank in shares]))  # fmt: skip


def local_analyses(world: World, local: LocalAnalysis, plan: Plan, X: np.ndarray,
                   inflation: np.ndarray, alpha: np.ndarray) -> tuple[Diagnostics, float]:  # fmt: skip
    """Analyse my tiles: `X` (member, channel, my columns), `inflation` and `alpha` (level, column) of the whole grid.

    The analysis takes the place of the background in `X`, because a second ensemble is what memory is shortest of.
    Returns what is told of my columns, and the seconds it took.
    """
    mine, start = plan.tiles[world.rank], clock.monotonic()
    analyse_tile = local.tile if len(local.used) else local.unchanged
    none = np.empty(0, dtype=np.intp)
    told = _room_for(local.unchanged(none, X[:, :, none], inflation[:, none], alpha[:, none]).diagnostics, X.shape[-1])
    ends = np.cumsum([columns.size for columns in mine])

    def analyse_one(number: int) -> None:
        columns, here = mine[number], slice(ends[number] - mine[number].size, ends[number])
        _put(analyse_tile(columns, X[:, :, here], inflation[:, columns], alpha[:, columns]), X, told, here)

    threads, reported = local.settings.analysis.threads, start
    if mine:
        local.prepare()
    with ThreadPoolExecutor(threads) as pool:  # for one thread not used: handing over costs more than a small tile
        each = map if threads == 1 else pool.map
        for number, _ in enumerate(each(analyse_one, range(len(mine)))):
            now = clock.monotonic()
            if now - reported > _SECONDS_BETWEEN_REPORTS:
                left = (now - start) / (number + 1) * (len(mine) - number - 1)
                log.info("local analyses: %d of %d tiles of this rank, %.0f s left", number + 1, len(mine), left)
                reported = now
    return told, clock.monotonic() - start


def _room_for(of_none: Diagnostics, columns: int) -> Diagnostics:
    """Diagnostics of `columns`, shaped and typed as those of no column."""
    return of_none.each(lambda part: np.empty((*part.shape[:-1], columns), part.dtype))


def _put(done: ColumnsAnalysis, X: np.ndarray, told: Diagnostics, here: slice) -> None:
    X[:, :, here] = done.X
    for part in fields(told):
        getattr(told, part.name)[..., here] = getattr(done.diagnostics, part.name)


def main(world: World, arguments: Sequence[str]) -> None:
    """Read the command line and the experiment; analyse the time asked for, or all of them."""
    chosen = world.shared(lambda: _parse(arguments))
    settings = world.shared(lambda: config.load(chosen.experiment, Settings))
    experiment, analyst = settings.experiment, Analyst(world, settings)
    instructions = world.of_each_rank(world.together(lambda: tile_kernel.instructions(settings)))
    world.together(lambda: lanes.refuse_mixed(instructions))
    if chosen.follow:
        world.at_root(lambda: frozen.refuse_other(chosen.experiment, experiment))
        service.follow(world, experiment, PROGRAM, analyst.at)
        return
    time = world.shared(lambda: times.parse(chosen.time) if chosen.time else files.next_time(experiment))
    complete = experiment.folder.at(time).departures
    if not world.shared(complete.exists):
        analyst.at(time)
    elif world.is_root:
        log.info("%s exists: the analysis of %s is complete, nothing to do", complete, times.name(time))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    example = "mpirun -n 4 python -m letkf_mpi.analysis run/experiments/twin_speedy.toml 1989010106"
    parser = program.parser(PROGRAM, "Make the LETKF analysis of a time from its background and observations.", example)
    program.add_experiment(parser, optional=True)
    parser.add_argument("time", nargs="?", metavar="TIME",
                        help="YYYYMMDDHH in UTC (default: the earliest with a background and no analysis)")  # fmt: skip
    parser.add_argument("--follow", action="store_true",
                        help="analyse all times of the experiment, waiting for the inputs of each; ends at SIGTERM or "
                        "at the file `stop` in the experiment's folder")  # fmt: skip
    chosen = parser.parse_args(arguments)
    if chosen.follow and chosen.time:
        parser.error("--follow goes over all times of the experiment: name none")
    return chosen


if __name__ == "__main__":
    guarded(main, PROGRAM)
