"""All that the model is fed with."""

from dataclasses import dataclass

import numpy as np

from letkf_mpi.local import tiles
from letkf_mpi.local.columns import Plan
from letkf_mpi.local.localization import Sites, Strips
from tests import builders
from tests.benchmarks.scaling.exchanging import MANY, call_seconds, exchange_seconds
from tests.benchmarks.scaling.files import file_seconds
from tests.benchmarks.scaling.observing import draw_seconds, h_seconds, judge_seconds, look_seconds, table_seconds
from tests.benchmarks.scaling.problem import Problem
from tests.benchmarks.scaling.solving import prepare_seconds, tile_seconds
from tests.benchmarks.seconds import seconds

SAMPLED_ROWS = 100_000


@dataclass(frozen=True)
class Costs:
    """Seconds, of the whole problem where nothing else is said."""

    tiles: np.ndarray  # (tile,) of its local analysis
    table: float  # rank 0: reading the observations
    set_up: float  # H for all rows
    few: float  # every rank: H, H(x) of all members and fates of a few rows
    fetch: float  # of one member, the numbers that all rows read
    entries: float  # how many those are
    apply: float  # H(x) of one member, all rows
    judge: float  # fates and Y of all rows
    tell: float  # departures of all rows
    draw: float  # draws of one row
    sort: float  # sites of all rows
    strips: float  # every rank: the sites put in order of latitude
    count: float  # observations around all tiles
    blocks: float  # every rank: the tiles of the grid
    share: float  # every rank: tiles given to `MANY` ranks
    prepare: float  # what tiles share, made by shares
    prepare_alone: float  # every rank: the rest of it
    departures: float  # rank 0: writing them
    first_read: float  # every rank: what a process loads at its first file
    first_write: float
    read_file: float  # one member, however short
    read: float  # its numbers
    write_file: float
    write: float
    lay_down: float  # a member's file, with room for its numbers
    fill: float  # its numbers, written there
    to_columns: float  # a byte of the ensemble on a rank, outside of MPI
    to_members: float
    carry: float  # a byte either way, in MPI
    carry_alone: float  # the same on one rank
    calls: float  # of each rank for each other one, to exchange once whatever little
    asked: float  # of each rank, the numbers that its rows read in columns: where which column is
    look: float  # at what is told of all columns


def measure(problem: Problem) -> Costs:
    """All costs of a problem."""
    nobs = len(problem.table)
    rows = np.linspace(0, nobs - 1, min(nobs, SAMPLED_ROWS)).astype(int)
    scale = nobs / rows.size
    sample = problem.table.select(rows)
    x = builders.random_state(problem.space)
    sites = Sites.of(problem.table.lat, problem.table.lon)
    counts = np.diff(sites.first_row)
    per_tile, count = tile_seconds(problem, sites)
    table, departures = table_seconds(sample)
    judge, tell = judge_seconds(problem, sample)
    H = h_seconds(problem, sample, x)
    prepare, prepare_alone = prepare_seconds(problem, rows)
    blocks = tiles.blocks(problem.space.grid, problem.settings.analysis.tile)
    return Costs(
        tiles=per_tile, table=table * scale, departures=departures * scale,
        set_up=H[0] * scale, fetch=H[1] * scale, entries=H[2] * scale, apply=H[3] * scale,
        judge=judge * scale, tell=tell * scale, draw=draw_seconds(problem.members),
        sort=seconds(lambda: Sites.of(problem.table.lat, problem.table.lon), 1),
        strips=seconds(lambda: Strips(sites.points, counts)), count=count,
        blocks=seconds(lambda: tiles.blocks(problem.space.grid, problem.settings.analysis.tile), 1),
        share=seconds(lambda: Plan.of(blocks, per_tile, MANY).columns, 1),
        prepare=prepare, prepare_alone=prepare_alone, **file_seconds(problem, sample), **exchange_seconds(),
        **call_seconds(problem, Plan.of(blocks, per_tile, MANY).columns), look=look_seconds(problem.space),
    )
