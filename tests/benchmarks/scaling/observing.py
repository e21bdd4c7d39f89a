"""What the observations cost: their tables, H(x), fates and draws, and the last look at all columns."""

import tempfile
from pathlib import Path

import numpy as np

from contracts import observations
from contracts.grid import Grid
from contracts.observations import Departures, Observations, Source
from contracts.state import State, StateSpace
from contracts.static import Static
from letkf_mpi.local.update import Diagnostics
from letkf_mpi.ranks.layouts import Members
from letkf_mpi.ranks.observing import Observing
from letkf_mpi.ranks.parallel import World
from letkf_mpi.totals import Totals
from obsoperator import Forward, departures
from obsoperator.departures import FirstGuess
from tests import builders
from tests.benchmarks.scaling.problem import Problem
from tests.benchmarks.seconds import seconds


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
