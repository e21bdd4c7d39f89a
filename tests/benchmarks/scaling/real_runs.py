"""Real runs beside the model."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from contracts import observations
from contracts.variables import Flag
from tests.benchmarks.scaling.costs import measure
from tests.benchmarks.scaling.model import PHASES, predict
from tests.benchmarks.scaling.problem import Problem
from tests.letkf_mpi import case
from tests.mpi.launcher import mpirun


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
    print("| ranks | " + " | ".join(PHASES) + " | all | in MPI |\n|" + " --- |" * (len(PHASES) + 3))
    for number in ranks:
        predicted = predict(problem, replace(costs, carry=0.0, carry_alone=0.0), number, np.inf)
        own = {name: of_ranks[:, 0].max() for name, of_ranks in taken[number].items()}
        cells = [f"{own[name]:.3f} ({predicted[name]:.3f})" for name in PHASES]
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
