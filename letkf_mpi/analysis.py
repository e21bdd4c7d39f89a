"""The analysis program: background members and observations in, analysis members and departures out.

    mpirun -n 32 python -m letkf_mpi.analysis EXPERIMENT.toml 1989010106

Member-parallel H(x) and files, column-parallel local analyses, an all-to-all exchange between them; the same bits
for any number of ranks.  `departures.nc` is written last: its presence says that the analysis is complete.
"""

import argparse
import logging
import time as clock
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from contracts import config, observations, program, static, times
from letkf_mpi import departures, files, summary, tiles
from letkf_mpi.config import Settings
from letkf_mpi.departures import Used
from letkf_mpi.localization import Neighbours
from letkf_mpi.obsoperator import ObservationOperator
from letkf_mpi.parallel import Layouts, World, guarded
from letkf_mpi.update import ColumnsAnalysis, LocalAnalysis

PROGRAM = "letkf_mpi.analysis"
log = logging.getLogger(PROGRAM)
_SECONDS_BETWEEN_REPORTS = 10.0


def analyse(world: World, settings: Settings, time: datetime) -> None:
    """Make the analysis of `time`, all its files; raises UserError where inputs or results do not fit."""
    experiment, space = settings.experiment, settings.state.space(settings.grid.grid())
    phase, out = summary.Phases(), files.Writer(experiment.folder.at(time), space, time, experiment.name)
    owned = world.members(experiment.members)
    mine = owned[world.rank]

    with phase("read"):
        table, source = world.shared(lambda: files.read_observations(experiment, time))
        orography = world.shared(lambda: static.read(experiment.folder.static, space.grid))
        inflation = world.shared(lambda: files.read_inflation(settings, space, time))
        background = world.together(lambda: files.read_members(out.files.background, mine, space, time))
    with phase("H(x)"):
        H = ObservationOperator.of(table, space, orography, settings.analysis.max_height_difference_m)
        hxb = world.gather_members(each(H.apply, background, len(table)), owned)
        ground = world.gather_members(each(H.ground_pressure, background, len(table)), owned)
        guess = world.at_root(lambda: departures.first_guess(table, hxb, ground, H.flag, settings.background_check))
        used = world.shared(lambda: guess.used())
    with phase("exchange"):
        plan = world.shared(lambda: share_tiles(settings, used, world.size))
        layouts = Layouts(world, owned, plan.columns)
        X = layouts.to_columns(background)
    with phase("local analyses"):
        local = LocalAnalysis(space, used, settings)
        analysis = local_analyses(world, local, plan, X, inflation)
        diagnostics = analysis.diagnostics.each(lambda part: world.gather_columns(part, plan.columns))
        world.at_root(lambda: files.check(diagnostics, space, settings.analysis.least_spread))
    with phase("exchange"):
        members = layouts.to_members(analysis.X)
    with phase("H(x)"):
        hxa = world.gather_members(each(H.apply, members, len(table)), owned)
    with phase("write"):
        world.together(lambda: out.members(members, mine))
        world.at_root(lambda: out.statistics(diagnostics))
        final = world.at_root(lambda: guess.with_analysis(hxa))
        world.at_root(lambda: observations.write(out.files.departures, final, source, experiment.name))
    if world.is_root:
        told = [*summary.observations_table(final), *summary.analysis_lines(diagnostics, local.levels), phase.line()]
        for line in told:
            log.info("%s", line)


def each(H: Callable[[np.ndarray], np.ndarray], members: np.ndarray, nobs: int) -> np.ndarray:
    """(members, nobs): H member by member, so that its bits do not depend on how many a rank holds."""
    return np.stack([H(x) for x in members]) if len(members) else np.empty((0, nobs))


@dataclass(frozen=True)
class Plan:
    """Which tiles each rank analyses, as column numbers."""

    tiles: tuple[tuple[np.ndarray, ...], ...]  # of each rank

    @property
    def columns(self) -> tuple[np.ndarray, ...]:
        """Columns of each rank, tile after tile."""
        return tuple(np.concatenate([*mine, np.empty(0, dtype=np.intp)]) for mine in self.tiles)


def share_tiles(settings: Settings, used: Used, ranks: int) -> Plan:
    """Give tiles to ranks by the work that the observations around them promise."""
    grid = settings.grid.grid()
    blocks = tiles.blocks(grid, settings.analysis.tile)
    centres = np.array([block[block.size // 2] for block in blocks])
    nearby = Neighbours(used.lat, used.lon).counts(grid.column_lat[centres], grid.column_lon[centres],
                                                   settings.localization.reach_km)  # fmt: skip
    shares = tiles.share(tiles.work(blocks, nearby, settings.experiment.members), ranks)
    return Plan(tuple(tuple(blocks[tile] for tile in mine) for mine in shares))


def local_analyses(world: World, local: LocalAnalysis, plan: Plan, X: np.ndarray,
                   inflation: np.ndarray) -> ColumnsAnalysis:  # fmt: skip
    """Analyse my tiles: `X` (member, channel, my columns), `inflation` (level, column) of the whole grid."""
    mine, start = plan.tiles[world.rank], clock.monotonic()
    analyse_tile = local.tile if len(local.used) else local.unchanged
    none = np.empty(0, dtype=np.intp)
    done = [local.unchanged(none, X[:, :, none], inflation[:, none])]  # a rank may have no tile at all
    first, reported = 0, start
    for number, columns in enumerate(mine):
        done.append(analyse_tile(columns, X[:, :, first : first + columns.size], inflation[:, columns]))
        first += columns.size
        now = clock.monotonic()
        if now - reported > _SECONDS_BETWEEN_REPORTS:
            left = (now - start) / (number + 1) * (len(mine) - number - 1)
            log.info("local analyses: %d of %d tiles of this rank, %.0f s left", number + 1, len(mine), left)
            reported = now
    return ColumnsAnalysis.join(done)


def main(world: World, arguments: Sequence[str]) -> None:
    """Read the command line and the experiment, choose the time, analyse it."""
    chosen = world.shared(lambda: _parser().parse_args(arguments))
    settings = world.shared(lambda: config.load(chosen.experiment, Settings))
    experiment = settings.experiment
    time = world.shared(lambda: times.parse(chosen.time) if chosen.time else files.next_time(experiment))
    folder = experiment.folder.at(time)
    if world.shared(folder.departures.exists):
        if world.is_root:
            log.info("%s exists: the analysis of %s is complete, nothing to do", folder.departures, times.name(time))
        return
    world.at_root(lambda: program.log_to_file(folder.log("analysis")))
    if world.is_root:
        log.info("analysis of %s: experiment %s, %d members on %d rank(s), about %.0f MB of ensemble each",
                 times.name(time), experiment.name, experiment.members, world.size, memory_mb(settings, world.size))
    analyse(world, settings, time)


def memory_mb(settings: Settings, ranks: int) -> float:
    """Ensemble on one rank: its members before and after, its columns before and after, in single precision."""
    space, members = settings.state.space(settings.grid.grid()), settings.experiment.members
    values = len(space.channels) * space.grid.size
    return 4e-6 * values * 2 * (-(-members // ranks) + members / ranks)


def _parser() -> argparse.ArgumentParser:
    example = "mpirun -n 4 python -m letkf_mpi.analysis run/experiments/twin_speedy.toml 1989010106"
    parser = program.parser(PROGRAM, "Make the LETKF analysis of a time from its background and observations.", example)
    program.add_experiment(parser, optional=True)
    parser.add_argument("time", nargs="?", metavar="TIME",
                        help="YYYYMMDDHH in UTC (default: the earliest with a background and no analysis)")  # fmt: skip
    return parser


if __name__ == "__main__":
    guarded(main, PROGRAM)
