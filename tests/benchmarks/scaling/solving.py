"""What the local analyses cost, and what is made of all observations before the first."""

import time
from collections.abc import Sequence

import numpy as np

from letkf_mpi.local import tiles
from letkf_mpi.local.localization import Sites
from letkf_mpi.local.update import LocalAnalysis
from letkf_mpi.shares import Make
from tests.benchmarks.scaling.problem import Problem
from tests.benchmarks.seconds import seconds

SAMPLED_TILES = 12
WIDTH = 1024  # columns of a rank


def prepare_seconds(problem: Problem, sample: np.ndarray) -> tuple[float, float]:
    """What is made of all observations before the first tile, by shares and by each rank: of both there is a constant
    part and one that grows with them, from a line through two numbers of them."""

    def taken(rows: np.ndarray) -> np.ndarray:
        used = problem.used(rows)
        sites, found = Sites.of(used.lat, used.lon), []
        for _ in range(2):
            shared = 0.0

            def by_shares(count: int, make: Make) -> Sequence[np.ndarray]:
                nonlocal shared
                start = time.process_time()
                made = make(slice(0, count))
                shared += time.process_time() - start
                return made

            local = LocalAnalysis(problem.space, used, problem.settings, by_shares=by_shares, known_sites=sites)
            whole = seconds(lambda local=local: local.kernel, 1)
            found.append((shared, whole - shared))
        return np.min(found, axis=0)

    few = sample[: sample.size // 4]
    least, most = taken(few), taken(sample)
    more = np.maximum(0.0, most - least) / (sample.size - few.size) * (len(problem.table) - sample.size)
    return tuple((most + more).tolist())


def tile_seconds(problem: Problem, sites: Sites) -> tuple[np.ndarray, float]:
    """Seconds of every tile, from a line through a sample of all costs; of counting observations around all."""
    grid, settings = problem.space.grid, problem.settings
    blocks = tiles.blocks(grid, settings.analysis.tile)
    centres = np.array([block[block.size // 2] for block in blocks])
    start = time.process_time()
    nearby = sites.counts(grid.column_lat[centres], grid.column_lon[centres], settings.localization.reach_km)
    counting = time.process_time() - start
    work = tiles.work(blocks, nearby, problem.members)
    order = np.argsort(work, kind="stable")
    sample = order[np.linspace(0, order.size - 1, SAMPLED_TILES).astype(int)]
    measured = sampled_seconds(problem, sites, [blocks[tile] for tile in sample])
    slope, constant = np.polyfit(work[sample], measured, 1, w=1 / np.maximum(measured, 1e-5))
    fitted = np.maximum(slope * work + constant, min(measured))
    off = np.abs(fitted[sample] / measured - 1)
    print(f"{len(blocks)} tiles, {nearby.mean():.0f} observations around one ({nearby.max()} at most): "
          f"{min(measured) * 1e3:.2f} to {max(measured) * 1e3:.1f} ms a tile, the line is off by {np.median(off):.0%}")
    return fitted, counting


def sampled_seconds(problem: Problem, sites: Sites, sample: Sequence[np.ndarray]) -> np.ndarray:
    """The local analyses of some tiles, one after the other among all observations and in a background as wide as that
    of a rank, so that none finds in the caches what it would not find there."""
    local = LocalAnalysis(problem.space, problem.used(np.arange(len(problem.table))), problem.settings,
                          known_sites=sites)
    X = np.random.default_rng(1).standard_normal((problem.members, len(problem.space.channels), WIDTH), np.float32)
    local.prepare()
    taken = np.empty((3, len(sample)))
    for one_round in taken:
        for number, columns in enumerate(sample):
            first = number * WIDTH // len(sample)
            inflation = np.ones((local.levels.size, columns.size))
            here = X[:, :, first : first + columns.size]
            one_round[number] = seconds(lambda columns=columns, here=here, inflation=inflation: local.tile(
                columns, here, inflation), 1)
    return taken.min(axis=0)
