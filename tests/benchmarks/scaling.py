"""How long an analysis takes, and how much memory, on 1 to 1024 ranks: a model fed with measured figures.

    python -m tests.benchmarks.scaling OBSERVATIONS.nc            # 0.25 degrees, 80 members, 10^6 observations
    python -m tests.benchmarks.scaling OBSERVATIONS.nc --check 2 8 32     # real runs of a smaller case beside the model

What is measured here and now: the local analysis of a sample of tiles as they are, H(x) and fates of rows, what is made
of all observations by shares of a node and by each rank, what rank 0 does alone, reading and writing a member and a
part of one, the exchange between two ranks, and what a rank among 1024 does for each of the others, however little it
carries (`Alone`).  Tiles have their real costs: the positions are those of a real table, repeated and shifted by half a
degree until they are as many as asked for.  The makespan of the local analyses follows from giving those tiles to ranks
as the program does.

Seconds are those of the processor, so that other work on this machine counts little; waiting for a disk is not in them.
What is assumed: a core for each rank, memory bandwidth for each as for two here, and a file system that all ranks
together read and write at `--filesystem` GB/s at most.  Beside every efficiency stands what reading and writing at that
rate permit at all: where nothing else takes time but the work of one rank shared out, and, the higher one, where all
that goes on meanwhile.
"""

import argparse
import json
import pickle
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from contracts import config, ensemble, observations, paths, rooms, state
from contracts.grid import Grid
from contracts.members import Form
from contracts.members import write as write_members
from contracts.observations import Departures, Observations, Source
from contracts.paths import EnsembleFolder
from contracts.state import State, StateSpace
from contracts.static import Static
from contracts.variables import Flag
from letkf_mpi import memory
from letkf_mpi.config import Settings
from letkf_mpi.local import tiles
from letkf_mpi.local.columns import Plan
from letkf_mpi.local.localization import Sites, Strips
from letkf_mpi.local.update import Diagnostics, LocalAnalysis
from letkf_mpi.memory import Size
from letkf_mpi.ranks.layouts import GROUP_BYTES, Layouts, Members
from letkf_mpi.ranks.observing import Observing
from letkf_mpi.ranks.parallel import World, guarded
from letkf_mpi.shares import Make
from letkf_mpi.totals import Totals
from obsoperator import Forward, departures
from obsoperator.departures import FirstGuess, Used
from tests import builders
from tests.benchmarks.phases import Timed, TimedWorld
from tests.letkf_mpi import case
from tests.mpi.launcher import alone, mpirun

LEVELS_HPA = (50, 100, 150, 200, 250, 300, 400, 500, 600, 700, 850, 925, 1000)
RANKS = (1, 4, 16, 64, 128, 256, 512, 1024)
RANKS_ON_NODE = 64
SAMPLED_TILES, SAMPLED_ROWS, SAMPLED_MEMBERS, FEW = 12, 100_000, 4, 64
WIDTH = 1024  # columns of a rank
EXCHANGED = (20, 40, 128, 160)  # members, channels, rows and columns of the grid whose exchange is measured
MANY = 1024  # ranks among which one does what each call asks of it
FIELDS = 5  # by level: inflation, count, weight, relaxation factor, signal
COPY = 0.5e-9  # s a byte, laid into the memory of a node
REAL_PHASES = ("read", "H(x)", "share", "exchange", "local analyses", "diagnostics", "write")


@dataclass(frozen=True)
class Problem:
    """What is analysed: settings, positions of `used` observations (their Y is made where needed)."""

    settings: Settings
    table: Observations

    @property
    def space(self) -> StateSpace:
        return self.settings.state.space(self.settings.grid.grid())

    @property
    def members(self) -> int:
        return self.settings.experiment.members

    def used(self, rows: np.ndarray) -> Used:
        """These rows with made departures."""
        rng, table = np.random.default_rng(0), self.table.select(rows)
        Y = rng.standard_normal((rows.size, self.members)) * table.error[:, None]
        return Used(Y - Y.mean(axis=1, keepdims=True), rng.standard_normal(rows.size) * table.error,
                    table.error.astype(float) ** 2, table.quantity, table.lat, table.lon,
                    departures.vertical_position(table))


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
    share: float  # every rank: tiles given to `RANKS[-1]` ranks
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


def seconds(step: Callable[[], object], rounds: int = 3) -> float:
    """Of the processor, the best of some rounds: other work on the machine only ever adds.

    What a step gives is kept until the end, so that each round lays it in memory that was not touched before, as a
    program does that makes one analysis.
    """
    taken, kept = [], []
    for _ in range(rounds):
        start = time.process_time()
        kept.append(step())
        taken.append(time.process_time() - start)
    return min(taken)


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


def h_seconds(problem: Problem, sample: Observations, x: State) -> tuple[float, float, int, float]:
    """H of some rows: setting up, asking for what they read of one member, how much that is, H(x) of one member."""
    space = problem.space
    flat = Static(space.grid, *(np.zeros(space.grid.shape) for _ in range(2)))

    def observing() -> Observing:
        return Observing.of(World(), sample, len(space.channels), lambda rows: Forward.of(rows, space, flat, 300.0))

    one, two = Members(World(), 1), x.data.reshape(1, len(space.channels), -1)
    seen = observing()
    gathered = seen.in_members(one, two)
    return (seconds(observing), seconds(lambda: seen.in_members(one, two)), seen.entry.size,
            seconds(lambda: (seen.H.apply(gathered), seen.H.ground_pressure(gathered))))


def few_seconds(problem: Problem) -> float:
    """H, H(x) of all members at a few rows twice, and their fates, as a process does it for the first time."""
    space, table = StateSpace(Grid.regular(8, 16), problem.space.channels), problem.table
    states = np.ones((problem.members, len(space.channels), space.grid.size), np.float32)
    flat = Static(space.grid, *(np.zeros(space.grid.shape) for _ in range(2)))
    members = Members(World(), problem.members)

    def step() -> object:
        seen = Observing.of(World(), table, len(space.channels), lambda rows: Forward.of(rows, space, flat, 300.0))
        X = seen.in_members(members, states)
        hx = seen.H.apply(X).T
        guess = departures.first_guess(table, table.value[:, None] + hx, seen.H.ground_pressure(X).T,
                                       np.zeros(len(table), np.int8), problem.settings.background_check, (1,))
        return guess.used(), seen.H.apply(seen.in_columns((np.arange(space.grid.size),), states))

    return seconds(step, 1)


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


def judge_seconds(problem: Problem, table: Observations) -> tuple[float, float]:
    """First guess and what the analysis sees of it; departures after, without draws for rows of others."""
    hx = np.random.default_rng(2).standard_normal((problem.members, len(table))).T
    flag, check = np.zeros(len(table), np.int8), problem.settings.background_check

    def guess() -> FirstGuess:
        return departures.first_guess(table, table.value[:, None] + hx, np.full_like(hx, 1e5), flag, check, (1,))

    guessed = guess()
    return seconds(lambda: guess().used(), 2), seconds(lambda: guessed.with_analysis(hx), 2)


def draw_seconds(members: int) -> float:
    """Drawing for a row of a block before one's own."""
    return seconds(lambda: np.random.default_rng(0).standard_normal((1000, members), dtype=np.float32)) / 1000


def table_seconds(table: Observations) -> tuple[float, float]:
    """Reading a table of observations, writing one of departures."""
    nothing, now = np.zeros(len(table)), builders.TIME
    final = Departures(**vars(table), background_mean=nothing, background_spread=nothing, analysis_mean=nothing,
                       analysis_spread=nothing)
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "observations.nc", Path(folder) / "departures.nc"
        observations.write(before, table, Source(now, (now, now)))
        return (seconds(lambda: observations.read(before)),
                seconds(lambda: observations.write(after, final, Source(now, (now, now)))))


def look_seconds(space: StateSpace) -> float:
    """The last look at all columns, from that at some."""
    some = 16 * (1 + space.grid.size // 1000)
    by_channel, by_level = np.ones((len(space.channels), some)), np.ones((space.analysis_levels.size, some))
    told = Diagnostics(clipped=np.zeros(some, int), **dict.fromkeys(Diagnostics.BY_CHANNEL, by_channel),
                       **dict.fromkeys(Diagnostics.BY_LEVEL, by_level))
    return seconds(lambda: Totals.of(World(), told, np.ones(some))) * space.grid.size / some


FIRST = """
import sys, time
from pathlib import Path
import numpy
from contracts import state
from contracts.grid import Grid
path, taken = Path(sys.argv[1]), []
space = state.StateSpace.of(Grid.regular(4, 8), (50000.0,), ("temperature",), ())
for step in [lambda: state.read(path, space)] * 2 + [lambda: state.write(path, state.read(path, space))] * 2:
    start = time.process_time()
    step()
    taken.append(time.process_time() - start)
print(*taken)
"""


def file_seconds(problem: Problem, sample: Observations) -> dict[str, float]:
    """What files cost, however short: the first that a process reads and writes, and others; what is in one of a
    member, and a few rows, in a process that did nothing before."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.nc"
        state.write(path, builders.random_state(StateSpace.of(Grid.regular(4, 8), (50_000.0,), ("temperature",), ())))
        runs = [list(map(float, alone("-c", FIRST, path).stdout.split())) for _ in range(3)]
        first_read, read, first_write, write = np.min(runs, axis=0).tolist()
        few = Path(folder) / "problem"
        few.write_bytes(pickle.dumps(replace(problem, table=sample.select(np.arange(min(FEW, len(sample)))))))
        job = alone("-m", "tests.benchmarks.scaling", "--cold", few, timeout=900)
    if job.returncode:
        sys.exit(job.stderr)
    found, write = json.loads(job.stdout), write - read
    found["read"], found["write"] = max(0.0, found["read"] - read), max(0.0, found["write"] - write)
    return found | {"first_read": first_read - read, "first_write": first_write - write - read, "read_file": read,
                    "write_file": write}


def cold(problem: Problem) -> dict[str, float]:
    """The other side of `file_seconds`: some members one after the other, as a rank reads and writes them."""
    found, space, now = {"few": few_seconds(problem)}, problem.space, builders.TIME
    numbers = list(range(SAMPLED_MEMBERS))
    X = np.zeros((len(numbers), *space.shape), np.float32)
    X += 1e-6 * np.arange(space.shape[-1], dtype=np.float32)
    with tempfile.TemporaryDirectory() as name, paths.side_by_side() as disk, paths.withheld() as kept:
        folder, path = EnsembleFolder(Path(name)), Path(name) / "parts.nc"
        found["write"] = seconds(lambda: write_members(folder, [1 + n for n in numbers], X, Form(space, now)), 1)
        found["read"] = seconds(lambda: ensemble.read_members(folder, numbers, space, now), 1)
        found["lay_down"] = seconds(lambda: state.lay_down(path, space, now, disk=kept), 1)
        where = state.lay_down(path, space, now, disk=kept)
        found["fill"] = seconds(lambda: rooms.fill(path, where, 0, X[0], disk), 1)
        del kept.waiting[1:]
    return found | {name: found[name] / len(numbers) for name in ("write", "read")}


def exchange_seconds() -> dict[str, float]:
    """Seconds a byte, each rank of two sending half of what it has to the other, or one all to itself."""
    itself, both = (json.loads(mpirun(ranks, "-m", "tests.benchmarks.scaling", "--exchange", timeout=900).stdout)
                    for ranks in (1, 2))
    return both | {"carry_alone": itself["carry"]}


def exchange(world: World, _: object) -> None:
    """The MPI side of `exchange_seconds`."""
    world = TimedWorld(Timed(world.comm))  # type: ignore[arg-type]
    members, channels, *shape = EXCHANGED
    blocks = tiles.blocks(Grid.regular(*shape), 4)
    plan = Plan.of(blocks, np.random.default_rng(0).random(len(blocks)), world.size)
    layouts = Layouts(world, Members(world, members).shares, channels, plan.columns)
    mine = np.ones((layouts.shares[world.rank].members.size, channels, shape[0] * shape[1]), np.float32)
    by_column = layouts.to_columns(mine)
    ways: dict[str, Callable[[], object]] = {"to_columns": lambda: layouts.to_columns(mine),
                                             "to_members": lambda: layouts.to_members(by_column)}
    taken, carried = {}, []
    for name, way in ways.items():
        inside = Timed.seconds
        whole = seconds(way, 1)
        carried.append((Timed.seconds - inside) / mine.nbytes)
        taken[name] = whole / mine.nbytes - carried[-1]
    if world.is_root:
        print(json.dumps(taken | {"carry": float(np.mean(carried))}))


class Alone:
    """MPI as if this rank, the first, were one of many: all that it calls ends at once, and brings zeros."""

    rank = 0

    def __init__(self, size: int):
        self.size = size

    def Alltoall(self, sent: np.ndarray, found: np.ndarray) -> None:  # noqa: N802
        found[:] = sent

    def Alltoallv(self, sent: list, found: list) -> None:  # noqa: N802
        found[0][:] = 0

    def Allreduce(self, mine: np.ndarray, found: np.ndarray, how: object) -> None:  # noqa: N802
        found[...] = mine

    def allgather(self, mine: object) -> list:
        return [mine] * self.size


def call_seconds(problem: Problem, columns: tuple[np.ndarray, ...]) -> dict[str, float]:
    """Of a rank among `MANY`, whose columns these are, that exchanges one channel and asks for a number."""
    world, size = World(Alone(MANY)), problem.space.grid.size  # type: ignore[arg-type]
    layouts = Layouts(world, Members(world, problem.members).shares, 1, columns)
    by_column = np.zeros((problem.members, 1, columns[0].size), np.float32)
    there = seconds(lambda: layouts.to_columns(np.zeros((1, 1, size), np.float32)))
    back = seconds(lambda: Layouts(world, layouts.shares, 1, columns).to_members(by_column))
    seen = Observing(world, slice(0, 0), 1, np.array([int(columns[0][0])]), Forward(size, np.empty(0, np.int8), ()))
    asked = seconds(lambda: seen.in_columns(columns, by_column))
    return {"calls": (there + back) / 2 / MANY, "asked": max(0.0, asked - there - back)}


def filesystem_bytes(problem: Problem) -> tuple[float, float]:
    """Read and written by all ranks together, each once."""
    columns, levels = problem.space.grid.size, problem.space.analysis_levels.size
    state, field = 4.0 * len(problem.space.channels) * columns, 8.0 * levels * columns
    return problem.members * state, (problem.members + 2) * state + FIELDS * field


def predict(problem: Problem, costs: Costs, ranks: int, filesystem: float) -> dict[str, float]:
    """Seconds of each phase on so many ranks; `filesystem` in bytes a second."""
    k, nobs, beside = problem.members, len(problem.table), 2 + FIELDS
    node, (ensemble, written) = min(ranks, RANKS_ON_NODE), filesystem_bytes(problem)
    parts, members, state = max(1, ranks // k), -(-k // ranks), ensemble / k
    mine = k / ranks if ranks > k else members
    shares, call = tiles.share(costs.tiles, ranks), costs.calls * (ranks if ranks > 1 else 0)
    team = (ranks - 1) // (k + beside)  # 0 where a rank writes whole files, of which it has this many members' worth
    own = 1 / team if team else members + (written - ensemble) / state / min(ranks, beside)
    files = 1 if team else members + beside / min(ranks, beside)
    writing = own * costs.fill + costs.lay_down if team > 1 else own * costs.write + files * costs.write_file
    drawn = min(nobs, 2**17) * costs.draw if ranks > 1 else 0.0
    carry = costs.carry if ranks > 1 else costs.carry_alone
    there, back = costs.to_columns + carry, costs.to_members + carry
    last = drawn + costs.tell / ranks + 5 * 8 * nobs * back / 2 + call + costs.departures
    return {
        "read": costs.first_read + costs.table
        + max(members * costs.read_file + mine * costs.read, ensemble / filesystem),
        "H(x)": (costs.set_up + costs.judge + k * (2 * costs.fetch + 2 * costs.apply)) / ranks + 4 * call
        + costs.few + costs.asked + 8 * costs.entries / parts * there + 8.0 * nobs * k / node * COPY,
        "share": costs.sort / node + costs.strips + costs.count / ranks + costs.blocks + costs.share,
        "exchange": there * ensemble / ranks + 4 * call + back * (ensemble / ranks + own * state) / 2,
        "local analyses": costs.prepare / node + costs.prepare_alone
        + max(costs.tiles[list(of_rank)].sum() for of_rank in shares),
        "diagnostics": costs.look / ranks,
        "write": costs.first_write + max(writing + last, written / filesystem),
    }


def size(problem: Problem, ranks: int) -> Size:
    levels = np.unique(problem.space.pressure).size
    return Size(problem.members, len(problem.space.channels), problem.space.grid.size, levels, len(problem.table),
                ranks, min(ranks, RANKS_ON_NODE), GROUP_BYTES)


def table_of(problem: Problem, costs: Costs, filesystem: float) -> list[str]:
    """Lines of a table in Markdown."""
    lines = ["| ranks | " + " | ".join(REAL_PHASES) + " | all, s | efficiency | permitted | GB a rank | "
             "GB a node of 64 |", "|" + " --- |" * (len(REAL_PHASES) + 6)]
    one = sum(predict(problem, costs, 1, filesystem).values())
    files = sum(filesystem_bytes(problem)) / filesystem
    solving = sum(predict(problem, replace(costs, read=0.0, write=0.0), 1, np.inf).values())
    for ranks in RANKS:
        phases, needed = predict(problem, costs, ranks, filesystem), memory.estimate(size(problem, ranks))
        total, ideal = sum(phases.values()), one / ranks
        permitted = min(1.0, ideal / (solving / ranks + files)), min(1.0, ideal / max(files, solving / ranks))
        cells = [f"{ranks}", *(f"{phases[name]:.2f}" for name in REAL_PHASES), f"{total:.2f}", f"{ideal / total:.2f}",
                 " to ".join(f"{share:.2f}" for share in permitted), f"{needed.each / 1e9:.1f}",
                 f"{needed.node / 1e9:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    fewer, most = (predict(problem, costs, ranks, np.inf) for ranks in (RANKS[-1] // 2, RANKS[-1]))
    rest = {name: 2 * taken - fewer[name] for name, taken in most.items()}  # of a part that halves, and one that stays
    lines.append(f"what no longer shrinks, the file system aside: {sum(rest.values()):.2f} s: "
                 + ", ".join(f"{name} {left:.3f}" for name, left in rest.items()))
    return lines


def repeated(table: Observations, nobs: int) -> Observations:
    """The rows fit for assimilation, again and again half a degree beside themselves, until there are `nobs`."""
    passed = np.flatnonzero(table.flag == Flag.passed)
    rng, many = np.random.default_rng(3), table.select(np.resize(passed, nobs))
    again = np.arange(nobs) >= passed.size
    return many.with_columns(lat=np.clip(many.lat + again * rng.normal(0, 0.5, nobs), -90, 90),
                             lon=(many.lon + again * rng.normal(0, 0.5, nobs)) % 360)


def settings_of(grid: str, members: int, horizontal_km: float, levels: tuple[int, ...]) -> Settings:
    text = f"""{builders.experiment("scaling", members=members)}
[grid]
{grid}
[state]
levels_hpa = {list(levels)}
[localization]
horizontal_km = {horizontal_km}
vertical_ln_p = 0.3
"""
    return config.decode(text, Settings, "scaling")


def check(folder: Path, ranks: Sequence[int], members: int) -> None:
    """Run the program on a made case of 1.4 degrees; print the processor seconds of the rank that takes most, outside
    of MPI, where it waits, beside the model's."""
    made = case.make(folder, members, 128, 256, 200_000, levels_hpa=(50, 250, 500, 600, 700, 850, 925),
                     more="[localization]\nhorizontal_km = 200\nvertical_ln_p = 0.3\n")
    taken = {number: real_seconds(made, number) for number in ranks}
    table, _ = observations.read(made.files.observations)
    fates, _ = observations.read_departures(made.files.departures)
    problem = Problem(made.settings, table.select(fates.flag == Flag.assimilated))
    costs = measure(problem)
    print(f"{members} members, {made.space}, {len(problem.table)} observations; seconds of a processor outside of MPI: "
          "taken (predicted), and in MPI")
    print("| ranks | " + " | ".join(REAL_PHASES) + " | all | in MPI |\n|" + " --- |" * (len(REAL_PHASES) + 3))
    for number in ranks:
        predicted = predict(problem, replace(costs, carry=0.0, carry_alone=0.0), number, np.inf)
        own = {name: of_ranks[:, 0].max() for name, of_ranks in taken[number].items()}
        cells = [f"{own[name]:.3f} ({predicted[name]:.3f})" for name in REAL_PHASES]
        total = f"{sum(own.values()):.2f} ({sum(predicted.values()):.2f})"
        inside = sum(of_ranks[:, 1].max() for of_ranks in taken[number].values())
        print(f"| {number} | " + " | ".join([*cells, total, f"{inside:.2f}"]) + " |")


def real_seconds(made: case.Case, ranks: int) -> dict[str, np.ndarray]:
    """(rank, 2) of each phase, outside of MPI and in it."""
    made.files.departures.unlink(missing_ok=True)
    job = mpirun(ranks, "-m", "tests.benchmarks.phases", made.toml, case.NOW, "--json", timeout=900)
    if job.returncode:
        sys.exit(job.stderr)
    return {name: np.array(of_ranks) for name, of_ranks in json.loads(job.stdout).items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scaling", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("observations", type=Path, help="observations.nc of obsproc, such as that of 1989-01-01 12 UTC")
    parser.add_argument("--nobs", type=float, default=1e6, help="observations assimilated (default: 1e6)")
    parser.add_argument("--members", type=int, default=80)
    parser.add_argument("--horizontal-km", type=float, default=200.0, help="localisation length (default: 200)")
    parser.add_argument("--filesystem", type=float, nargs="+", default=[10.0, 50.0], help="GB/s of all ranks together")
    parser.add_argument("--check", type=int, nargs="+", metavar="RANKS", help="real runs on so many ranks instead")
    chosen = parser.parse_args()
    if chosen.check:
        with tempfile.TemporaryDirectory() as folder:
            check(Path(folder), chosen.check, min(chosen.members, 20))
        return
    table, _ = observations.read(chosen.observations)
    settings = settings_of("nlat = 721\nnlon = 1440\npoles = true", chosen.members, chosen.horizontal_km, LEVELS_HPA)
    problem = Problem(settings, repeated(table, int(chosen.nobs)))
    costs = measure(problem)
    named = {name: getattr(costs, name) for name in Costs.__dataclass_fields__ if name != "tiles"}
    print(", ".join(f"{name} {value:.3g}" for name, value in named.items()))
    print(f"all tiles one after the other: {costs.tiles.sum():.0f} s")
    for filesystem in chosen.filesystem:
        print(f"\nfile system of {filesystem:g} GB/s")
        print("\n".join(table_of(problem, costs, 1e9 * filesystem)))


if __name__ == "__main__":
    if sys.argv[1:] == ["--exchange"]:
        guarded(exchange, "scaling")
    elif sys.argv[1:2] == ["--cold"]:
        print(json.dumps(cold(pickle.loads(Path(sys.argv[2]).read_bytes()))))
    else:
        main()
