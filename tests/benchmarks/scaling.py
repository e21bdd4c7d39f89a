"""How long an analysis takes, and how much memory, on 1 to 1024 ranks: a model fed with measured figures.

    python -m tests.benchmarks.scaling OBSERVATIONS.nc            # 0.25 degrees, 80 members, 10^6 observations
    python -m tests.benchmarks.scaling OBSERVATIONS.nc --check 4  # a real run of a reduced case beside its prediction

What is measured here and now: the local analysis of a sample of tiles as they are, H(x), what rank 0 does alone,
reading and writing a member, the exchange between two ranks.  Tiles have their real costs: the positions are those of
a real table, repeated and shifted by half a degree until they are as many as asked for.  The makespan of the local
analyses follows from giving those tiles to ranks as the program does.

Seconds are those of the processor, so that other work on this machine counts little; waiting for a disk is not in them.
What is assumed: a core for each rank, memory bandwidth for each as for two here, and a file system that all ranks
together read and write at `--filesystem` GB/s at most.
"""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contracts import config, observations, state
from contracts.observations import Departures, Observations, Source
from contracts.state import State, StateSpace
from contracts.static import Static
from contracts.variables import Flag
from letkf_mpi import memory
from letkf_mpi.config import Settings
from letkf_mpi.local import tiles
from letkf_mpi.local.localization import Neighbours
from letkf_mpi.local.update import Diagnostics, LocalAnalysis
from letkf_mpi.memory import Size
from letkf_mpi.ranks.layouts import Layouts, Members
from letkf_mpi.ranks.parallel import World, guarded
from obsoperator import Forward, departures
from obsoperator.departures import Used
from tests import builders
from tests.letkf_mpi import case
from tests.mpi.launcher import mpirun

LEVELS_HPA = (50, 100, 150, 200, 250, 300, 400, 500, 600, 700, 850, 925, 1000)
RANKS = (1, 4, 16, 64, 128, 256, 512, 1024)
RANKS_ON_NODE = 64
SAMPLED_TILES, SAMPLED_ROWS = 12, 100_000
EXCHANGED = (20, 40, 50_000)  # members, channels, columns of the exchange that is measured
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
    tree: float  # every rank: sorting observations by place
    count: float  # counting them around all tiles
    prepare: float  # every rank, before its first tile
    set_up: float  # H for all rows
    apply: float  # H(x) of one member, all rows
    root: float  # rank 0: departures before and after
    table: float  # rank 0: writing them
    read: float  # one member
    write: float
    exchange: float  # a byte of the ensemble on a rank, one way


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
    sample = np.linspace(0, nobs - 1, min(nobs, SAMPLED_ROWS)).astype(int)
    scale = nobs / sample.size
    per_tile, tree, count = tile_seconds(problem)
    table = problem.table.select(sample)
    flat = Static(problem.space.grid, *(np.zeros(problem.space.grid.shape) for _ in range(2)))
    x = builders.random_state(problem.space)
    H = Forward.of(table, problem.space, flat, 300.0)
    columns = x.data.reshape(len(problem.space.channels), -1)
    root, writing = root_seconds(problem, table)
    read, write = file_seconds(x)
    return Costs(
        per_tile, tree, count,
        prepare=prepare_seconds(problem, sample),
        set_up=seconds(lambda: Forward.of(table, problem.space, flat, 300.0)) * scale,
        apply=seconds(lambda: (H.apply(columns), H.ground_pressure(columns))) * scale,
        root=root * scale, table=writing * scale, read=read, write=write, exchange=exchange_seconds(),
    )


def prepare_seconds(problem: Problem, sample: np.ndarray) -> float:
    """What a rank does before its first tile, of all observations: a constant part and one that grows with them."""

    def taken(rows: np.ndarray) -> float:
        used = problem.used(rows)
        return seconds(lambda: LocalAnalysis(problem.space, used, problem.settings).kernel, 2)

    few = sample[: sample.size // 4]
    least, most = taken(few), taken(sample)
    return most + max(0.0, most - least) / (sample.size - few.size) * (len(problem.table) - sample.size)


def tile_seconds(problem: Problem) -> tuple[np.ndarray, float, float]:
    """Seconds of every tile, from a line through a sample of all costs; of sorting observations and counting them."""
    grid, settings, table = problem.space.grid, problem.settings, problem.table
    blocks = tiles.blocks(grid, settings.analysis.tile)
    centres = np.array([block[block.size // 2] for block in blocks])
    start = time.process_time()
    tree = Neighbours(table.lat, table.lon)
    sorting = time.process_time() - start
    nearby = tree.counts(grid.column_lat[centres], grid.column_lon[centres], settings.localization.reach_km)
    counting = time.process_time() - start - sorting
    work = tiles.work(blocks, nearby, problem.members)
    order = np.argsort(work, kind="stable")
    sample = order[np.linspace(0, order.size - 1, SAMPLED_TILES).astype(int)]
    measured = [one_tile_seconds(problem, tree, blocks[tile]) for tile in sample]
    slope, constant = np.polyfit(work[sample], measured, 1, w=1 / np.maximum(measured, 1e-5))
    fitted = np.maximum(slope * work + constant, min(measured))
    off = np.abs(fitted[sample] / measured - 1)
    print(f"{len(blocks)} tiles, {nearby.mean():.0f} observations around one ({nearby.max()} at most): "
          f"{min(measured) * 1e3:.2f} to {max(measured) * 1e3:.1f} ms a tile, the line is off by {np.median(off):.0%}")
    return fitted, sorting, counting


def one_tile_seconds(problem: Problem, tree: Neighbours, columns: np.ndarray) -> float:
    """The local analysis of a tile with all the observations that it sees."""
    grid, reach = problem.space.grid, problem.settings.localization.reach_km
    middle = columns[columns.size // 2]
    near, _ = tree.within(grid.column_lat[middle], grid.column_lon[middle], reach + 100.0)
    if not near.size:
        return 1e-4
    local = LocalAnalysis(problem.space, problem.used(near), problem.settings)
    X = np.random.default_rng(1).standard_normal((problem.members, len(problem.space.channels), columns.size))
    inflation = np.ones((local.levels.size, columns.size))
    return seconds(lambda: local.tile(columns, X.astype(np.float32), inflation))


def root_seconds(problem: Problem, table: Observations) -> tuple[float, float]:
    """First guess, what the analysis sees of it, and departures after; writing them."""
    hx = np.random.default_rng(2).standard_normal((problem.members, len(table))).T
    flag, check = np.zeros(len(table), np.int8), problem.settings.background_check

    def step() -> Departures:
        guess = departures.first_guess(table, table.value[:, None] + hx, np.full_like(hx, 1e5), flag, check, (1,))
        guess.used()
        return guess.with_analysis(hx)

    final, now = step(), builders.TIME
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "departures.nc"
        return seconds(step, 2), seconds(lambda: observations.write(path, final, Source(now, (now, now))))


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
    job = mpirun(2, "-m", "tests.benchmarks.scaling", "--exchange")
    return float(job.stdout)


def exchange(world: World, _: object) -> None:
    """The MPI side of `exchange_seconds`."""
    members, channels, columns = EXCHANGED
    halves = tuple(np.array_split(np.arange(columns), world.size))
    layouts = Layouts(Members(world, members), channels, halves)
    mine = np.ones((layouts.members.mine.members.size, channels, columns), np.float32)
    taken = seconds(lambda: layouts.to_columns(mine))
    if world.is_root:
        print(taken / mine.nbytes)


def predict(problem: Problem, costs: Costs, ranks: int, filesystem: float) -> dict[str, float]:
    """Seconds of each phase on so many ranks; `filesystem` in bytes a second."""
    k = problem.members
    members, parts = -(-k // ranks), max(1, ranks // k)
    ensemble = 4.0 * k * len(problem.space.channels) * problem.space.grid.size
    channels, levels = len(problem.space.channels), problem.space.analysis_levels.size
    shares = tiles.share(costs.tiles, ranks)
    return {
        "read": max(members * costs.read / parts, ensemble / filesystem),
        "H(x)": costs.set_up / parts + 2 * members * costs.apply / parts + costs.root,
        "share": costs.tree + costs.count / ranks,
        "exchange": 2 * ensemble / ranks * costs.exchange,
        "local analyses": costs.prepare + max(costs.tiles[list(mine)].sum() for mine in shares),
        "diagnostics": Diagnostics.bytes_of(channels, levels) * problem.space.grid.size * costs.exchange,
        "write": max((members + 2) * costs.write, ensemble / filesystem) + costs.table,
    }


def size(problem: Problem, ranks: int) -> Size:
    levels = np.unique(problem.space.pressure).size
    return Size(problem.members, len(problem.space.channels), problem.space.grid.size, levels, len(problem.table),
                ranks, min(ranks, RANKS_ON_NODE), Layouts.group_bytes)


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


def check(members: int, nobs: int, horizontal_km: float, filesystem: float, ranks: int = 2) -> None:
    """Run the program on a made 0.25-degree case with few members and levels; print its phases beside the model's."""
    with tempfile.TemporaryDirectory() as folder:
        made = case.make(Path(folder), members, 720, 1440, nobs,
                         more=f"[localization]\nhorizontal_km = {horizontal_km}\nvertical_ln_p = 0.3\n")
        job = mpirun(ranks, "-m", "letkf_mpi.analysis", made.toml, case.NOW, timeout=900)
        if job.returncode:
            sys.exit(job.stderr)
        table, _ = observations.read_departures(made.files.departures)
    taken = dict(re.findall(r"([a-zA-Z()][a-zA-Z() ]*) ([\d.]+)", job.stderr.rsplit("seconds:", 1)[1]))
    problem = Problem(made.settings, table.select(table.flag == Flag.assimilated))
    phases = predict(problem, measure(problem), ranks, filesystem)
    print(f"{members} members, {made.space}, {len(problem.table)} observations, {ranks} ranks, seconds:")
    print("| phase | predicted | taken |\n| --- | --- | --- |")
    for name in REAL_PHASES:
        print(f"| {name} | {phases[name]:.1f} | {taken[name]} |")
    print(f"| all | {sum(phases.values()):.1f} | {taken['all']} |")
    needed = memory.estimate(size(problem, ranks))
    print(f"memory: expected {needed.each / 1e9:.2f} GB a rank; "
          + next(line.partition("INFO ")[2] for line in job.stderr.splitlines() if "peak memory" in line))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scaling", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("observations", type=Path, help="observations.nc of obsproc, such as that of 1989-01-01 12 UTC")
    parser.add_argument("--nobs", type=float, default=1e6, help="observations assimilated (default: 1e6)")
    parser.add_argument("--members", type=int, default=80)
    parser.add_argument("--horizontal-km", type=float, default=200.0, help="localisation length (default: 200)")
    parser.add_argument("--filesystem", type=float, default=10.0, help="GB/s of all ranks together (default: 10)")
    parser.add_argument("--check", type=int, metavar="MEMBERS", help="a real run with so many members instead")
    chosen = parser.parse_args()
    if chosen.check:
        check(chosen.check, 20_000, chosen.horizontal_km, 1e9 * chosen.filesystem)
        return
    table, _ = observations.read(chosen.observations)
    settings = settings_of("nlat = 721\nnlon = 1440\npoles = true", chosen.members, chosen.horizontal_km, LEVELS_HPA)
    problem = Problem(settings, repeated(table, int(chosen.nobs)))
    costs = measure(problem)
    named = {name: getattr(costs, name) for name in Costs.__dataclass_fields__ if name != "tiles"}
    print(", ".join(f"{name} {value:.3g} s" for name, value in named.items()))
    print(f"all tiles one after the other: {costs.tiles.sum():.0f} s")
    print("\n".join(table_of(problem, costs, 1e9 * chosen.filesystem)))


if __name__ == "__main__":
    if sys.argv[1:] == ["--exchange"]:
        guarded(exchange, "scaling")
    else:
        main()
