"""What it costs to read and write members, in a process that did nothing before."""

import json
import pickle
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from contracts import ensemble, paths, rooms, state
from contracts.grid import Grid
from contracts.members import Form
from contracts.members import write as write_members
from contracts.observations import Observations
from contracts.paths import EnsembleFolder
from contracts.state import StateSpace
from tests import builders
from tests.benchmarks.scaling.observing import few_seconds
from tests.benchmarks.scaling.problem import Problem
from tests.benchmarks.seconds import seconds
from tests.mpi.launcher import alone

SAMPLED_MEMBERS = 4
FEW = 64
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
