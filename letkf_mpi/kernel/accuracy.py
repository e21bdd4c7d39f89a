"""How exact the compiled kernel is: relative error of the weights against an eigendecomposition in double precision.

    python -m letkf_mpi.kernel.accuracy --members 20 40 --observations 200

The problems are random, with the condition number κ of A that stands in the table.  The error is that of W in the
Frobenius norm, the worst of the columns of a batch; that of w̄ in brackets.
"""

import argparse
from collections.abc import Sequence

import numpy as np

from contracts import program
from contracts.errors import UserError
from letkf_mpi.kernel import lanes
from letkf_mpi.solvers import Letkf, LocalProblem

PROGRAM = "letkf_mpi.kernel.accuracy"
_COLUMNS = 16
_CONDITIONS = (3.0, 10.0, 30.0, 100.0, 1e3, 1e4, 1e6)


def problem(members: int, observations: int, condition: float) -> LocalProblem:
    """Random observed perturbations whose A has this condition number."""
    rng = np.random.default_rng((members, observations))
    Y = rng.standard_normal((observations, members)) * rng.uniform(0.2, 1.0, members)
    Y -= Y.mean(axis=1, keepdims=True)
    Y *= np.sqrt((condition - 1.0) * (members - 1)) / np.linalg.norm(Y, 2)
    return LocalProblem(Y, rng.standard_normal(observations), np.ones(observations), np.ones(observations), 1.0)


def errors(case: LocalProblem, precision: str) -> tuple[float, float]:
    """Relative errors of W and w̄ of columns that differ in their weights by up to one part in ten."""
    taper = np.linspace(0.9, 1.0, _COLUMNS) * np.ones((case.p, 1))
    found = lanes.weights(case.Y, case.d, case.variance, taper, np.ones(_COLUMNS), precision)
    worst = np.zeros(2)
    for column in range(_COLUMNS):
        exact = Letkf().solve(LocalProblem(case.Y, case.d, case.variance, taper[:, column], 1.0))
        pairs = ((found.perturbations[column], exact.perturbations), (found.mean[column], exact.mean))
        worst = np.maximum(worst, [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in pairs])
    return float(worst[0]), float(worst[1])


def table(members: Sequence[int], observations: Sequence[int]) -> list[str]:
    """Lines to print."""
    lines = [f"instructions: {lanes.instructions()[0]}; float32 turns to double precision at κ {lanes.SINGLE_UP_TO:g}",
             f"{'k':>4} {'p':>6} {'κ':>8} {'float32':>20} {'float64':>20}"]
    for k in members:
        for p in observations:
            for condition in _CONDITIONS:
                case = problem(k, p, condition)
                cells = ["{:.1e} ({:.1e})".format(*errors(case, precision)) for precision in ("float32", "float64")]
                lines.append(f"{k:>4} {p:>6} {condition:>8g} {cells[0]:>20} {cells[1]:>20}")
    return lines


def main(arguments: Sequence[str]) -> None:
    chosen = _parser().parse_args(arguments)
    if lanes.compiled() is None:
        raise UserError("the compiled kernel could not be built; the reference needs no comparison with itself")
    print("\n".join(table(chosen.members, chosen.observations)))


def _parser() -> argparse.ArgumentParser:
    parser = program.parser(PROGRAM, "Tell the error of the compiled kernel.", "python -m letkf_mpi.kernel.accuracy")
    parser.add_argument("--members", type=int, nargs="+", default=[20, 40, 80], metavar="K",
                        help="ensemble sizes from 2 (default: 20 40 80)")
    parser.add_argument("--observations", type=int, nargs="+", default=[50, 1000], metavar="P",
                        help="numbers of local observations from 1 (default: 50 1000)")
    return parser


if __name__ == "__main__":
    program.run(main, PROGRAM)
