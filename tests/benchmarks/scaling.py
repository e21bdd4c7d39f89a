"""How long an analysis takes, and how much memory, on 1 to 1024 ranks: a model fed with measured figures.

    python -m tests.benchmarks.scaling OBSERVATIONS.nc            # 0.25 degrees, 80 members, 10^6 observations
    python -m tests.benchmarks.scaling OBSERVATIONS.nc --check 2 8 32     # real runs of a smaller case beside the model

What is measured here and now: the local analysis of a sample of tiles as they are, H(x) and fates of rows, what is made
of all observations by shares of a node and by each rank, what rank 0 does alone, reading and writing a member, the
exchange between two ranks.  Tiles have their real costs: the positions are those of
a real table, repeated and shifted by half a degree until they are as many as asked for.  The makespan of the local
analyses follows from giving those tiles to ranks as the program does.

Seconds are those of the processor, so that other work on this machine counts little; waiting for a disk is not in them.
What is assumed: a core for each rank, memory bandwidth for each as for two here, and a file system that all ranks
together read and write at `--filesystem` GB/s at most.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contracts import config, observations, state
from contracts.grid import Grid
from contracts.observations import Departures, Observations, Source
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
from obsoperator.departures import Used
from tests import builders
from tests.letkf_mpi import case
from tests.mpi.launcher import mpirun

LEVELS_HPA = (50, 100, 150, 200, 250, 300, 400, 500, 600, 700, 850, 925, 1000)
RANKS = (1, 4, 16, 64, 128, 256, 512, 1024)
RANKS_ON_NODE = 64
SAMPLED_TILES, SAMPLED_ROWS = 12, 100_000
WIDTH = 1024  # columns of a rank
EXCHANGED = (20, 40, 128, 160)  # members, channels, rows and columns of the grid whose exchange is measured
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
    fetch: float  # of one member, the numbers that all rows read
    entries: float  # how many those are
    apply: float  # H(x) of one member, all rows
    judge: float  # fates, Y and departures of all rows
    draw: float  # draws of one row
    sort: float  # sites of all rows
    strips: float  # every rank: the sites put in order of latitude
    count: float  # observations around all tiles
    share: float  # every rank: tiles given to `RANKS[-1]` ranks
    prepare: float  # what tiles share, made by shares
    prepare_alone: float  # every rank: the rest of it
    departures: float  # rank 0: writing them
    read: float  # one member
    write: float
    exchange: float  # a byte of the ensemble on a rank, one way: half for sending, half for receiving
    look: float  # at what is told of all columns


def seconds(step: Callable[[], object], rounds: int = 3) -> float:
    """Of the processor, the best of some rounds: other work on the machine only ever adds."""
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        step()
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
    reading, writing = file_seconds(x)
    table, departures = table_seconds(sample)
    H = h_seconds(problem, sample, x)
    prepare, prepare_alone = prepare_seconds(problem, rows)
    blocks = tiles.blocks(problem.space.grid, problem.settings.analysis.tile)
    return Costs(
        tiles=per_tile, table=table * scale, departures=departures * scale,
        set_up=H[0] * scale, fetch=H[1] * scale, entries=H[2] * scale, apply=H[3] * scale,
        judge=judge_seconds(problem, sample) * scale, draw=draw_seconds(problem.members),
        sort=seconds(lambda: Sites.of(problem.table.lat, problem.table.lon), 1),
        strips=seconds(lambda: Strips(sites.points, counts)), count=count,
        share=seconds(lambda: Plan.of(blocks, per_tile, RANKS[-1]).columns, 1),
        prepare=prepare, prepare_alone=prepare_alone, read=reading, write=writing, exchange=exchange_seconds(),
        look=look_seconds(problem.space),
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


def judge_seconds(problem: Problem, table: Observations) -> float:
    """First guess, what the analysis sees of it, and departures after."""
    hx = np.random.default_rng(2).standard_normal((problem.members, len(table))).T
    flag, check = np.zeros(len(table), np.int8), problem.settings.background_check

    def step() -> Departures:
        guess = departures.first_guess(table, table.value[:, None] + hx, np.full_like(hx, 1e5), flag, check, (1,))
        guess.used()
        return guess.with_analysis(hx)

    return seconds(step, 2)


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


def file_seconds(x: State) -> tuple[float, float]:
    """Reading and writing one member, from a member with the surface and one level; the page cache is warm."""
    space = StateSpace(x.space.grid, x.space.channels[-4:])
    part = State(space, x.data[-4:], x.time)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.nc"
        write = seconds(lambda: state.write(path, part))
        read = seconds(lambda: state.read(path, space))
    scale = len(x.space.channels) / len(space.channels)
    return read * scale, write * scale


def exchange_seconds() -> float:
    """Seconds a byte, each rank of two sending half of what it has to the other."""
    job = mpirun(2, "-m", "tests.benchmarks.scaling", "--exchange", timeout=900)
    return float(job.stdout)


def exchange(world: World, _: object) -> None:
    """The MPI side of `exchange_seconds`."""
    members, channels, *shape = EXCHANGED
    blocks = tiles.blocks(Grid.regular(*shape), 4)
    plan = Plan.of(blocks, np.random.default_rng(0).random(len(blocks)), world.size)
    layouts = Layouts(world, Members(world, members).shares, channels, plan.columns)
    mine = np.ones((layouts.shares[world.rank].members.size, channels, shape[0] * shape[1]), np.float32)
    taken = seconds(lambda: layouts.to_columns(mine))
    if world.is_root:
        print(taken / mine.nbytes)


def predict(problem: Problem, costs: Costs, ranks: int, filesystem: float) -> dict[str, float]:
    """Seconds of each phase on so many ranks; `filesystem` in bytes a second."""
    k, nobs, space = problem.members, len(problem.table), problem.space
    columns, levels, node = space.grid.size, space.analysis_levels.size, min(ranks, RANKS_ON_NODE)
    state, field = 4.0 * len(space.channels) * columns, 8.0 * levels * columns
    members, parts, beside = -(-k // ranks), max(1, ranks // k), 2 + FIELDS
    ensemble, mine = k * state, members / parts
    shares = tiles.share(costs.tiles, ranks)
    # of the rank that has most to write; with enough of them none has a member and something beside
    products = (2 * state + FIELDS * field) / min(ranks, beside)
    written = members * state + products if ranks < k + beside else max(state, products)
    writing = written / state * costs.write  # rank 0 writes departures after what it has, or beside the others
    writing = max(writing, costs.departures) if ranks > k + beside else writing + costs.departures
    drawn = min(nobs, 2**17) * costs.draw
    return {
        "read": costs.table + max(mine * costs.read, ensemble / filesystem),
        "H(x)": (costs.set_up + costs.judge + k * (2 * costs.fetch + 2 * costs.apply)) / ranks
        + 8 * costs.entries / parts * costs.exchange + 8.0 * nobs * k / node * COPY,
        "share": costs.sort / node + costs.strips + costs.count / ranks + costs.share,
        "exchange": costs.exchange * (ensemble / ranks + (ensemble / ranks + written) / 2),
        "local analyses": costs.prepare / node + costs.prepare_alone
        + max(costs.tiles[list(mine)].sum() for mine in shares),
        "diagnostics": costs.look / ranks,
        "write": drawn + 5 * 8 * nobs * costs.exchange / 2
        + max(writing, (ensemble + 2 * state + FIELDS * field) / filesystem),
    }


def size(problem: Problem, ranks: int) -> Size:
    levels = np.unique(problem.space.pressure).size
    return Size(problem.members, len(problem.space.channels), problem.space.grid.size, levels, len(problem.table),
                ranks, min(ranks, RANKS_ON_NODE), GROUP_BYTES)


def table_of(problem: Problem, costs: Costs, filesystem: float) -> list[str]:
    """Lines of a table in Markdown."""
    lines = ["| ranks | " + " | ".join(REAL_PHASES) + " | all, s | efficiency | GB a rank | GB a node of 64 |",
             "|" + " --- |" * (len(REAL_PHASES) + 5)]
    alone = 0.0
    for ranks in RANKS:
        phases, needed = predict(problem, costs, ranks, filesystem), memory.estimate(size(problem, ranks))
        total = sum(phases.values())
        alone = alone or total
        cells = [f"{ranks}", *(f"{phases[name]:.1f}" for name in REAL_PHASES), f"{total:.0f}",
                 f"{alone / ranks / total:.2f}", f"{needed.each / 1e9:.1f}", f"{needed.node / 1e9:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
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


def check(folder: Path, ranks: Sequence[int]) -> None:
    """Run the program on a made case of 1.4 degrees; print its processor seconds of a rank, the mean of all, beside the
    model's."""
    made = case.make(folder, 20, 128, 256, 200_000, levels_hpa=(50, 250, 500, 600, 700, 850, 925),
                     more="[localization]\nhorizontal_km = 200\nvertical_ln_p = 0.3\n")
    taken = {number: real_seconds(made, number) for number in ranks}
    table, _ = observations.read(made.files.observations)
    fates, _ = observations.read_departures(made.files.departures)
    problem = Problem(made.settings, table.select(fates.flag == Flag.assimilated))
    costs = measure(problem)
    print(f"20 members, {made.space}, {len(problem.table)} observations; seconds of a processor: taken (predicted)")
    print("| ranks | " + " | ".join(REAL_PHASES) + " | all |\n|" + " --- |" * (len(REAL_PHASES) + 2))
    for number in ranks:
        predicted = predict(problem, costs, number, np.inf)
        cells = [f"{taken[number][name]:.3f} ({predicted[name]:.3f})" for name in REAL_PHASES]
        total = f"{sum(taken[number].values()):.2f} ({sum(predicted.values()):.2f})"
        print(f"| {number} | " + " | ".join([*cells, total]) + " |")


def real_seconds(made: case.Case, ranks: int) -> dict[str, float]:
    """Of the rank that took most in each phase, in MPI and outside."""
    made.files.departures.unlink(missing_ok=True)
    job = mpirun(ranks, "-m", "tests.benchmarks.phases", made.toml, case.NOW, "--json", timeout=900)
    if job.returncode:
        sys.exit(job.stderr)
    return {name: float(np.sum(of_ranks, axis=1).max()) for name, of_ranks in json.loads(job.stdout).items()}


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
            check(Path(folder), chosen.check)
        return
    table, _ = observations.read(chosen.observations)
    settings = settings_of("nlat = 721\nnlon = 1440\npoles = true", chosen.members, chosen.horizontal_km, LEVELS_HPA)
    problem = Problem(settings, repeated(table, int(chosen.nobs)))
    costs = measure(problem)
    named = {name: getattr(costs, name) for name in Costs.__dataclass_fields__ if name != "tiles"}
    print(", ".join(f"{name} {value:.3g} s" for name, value in named.items()))
    print(f"all tiles one after the other: {costs.tiles.sum():.0f} s")
    for filesystem in chosen.filesystem:
        print(f"\nfile system of {filesystem:g} GB/s")
        print("\n".join(table_of(problem, costs, 1e9 * filesystem)))


if __name__ == "__main__":
    if sys.argv[1:] == ["--exchange"]:
        guarded(exchange, "scaling")
    else:
        main()
