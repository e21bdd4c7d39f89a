"""Every solver on the Lorenz-96 model, with localisation, inflation and relaxation around it: a table in seconds.

    dx_i/dt = (x_{i+1} − x_{i−2}) x_{i−1} − x_i + 8

    python -m letkf_mpi.twin

A run of the model is the truth; some of its variables are observed with error 1.  Errors and spread are means over the
cycles after the spin-up, as in the tables of DAPPER (Raanes, Chen & Grudzien 2024, J. Open Source Softw. 9, 5150): the
root of the mean square over the variables at each time, then the mean over time.

Lorenz & Emanuel 1998, J. Atmos. Sci. 55, 399.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from contracts import program
from letkf_mpi.local.adaptive_relaxation import AdaptiveRtpp, AdaptiveRtps
from letkf_mpi.local.localization import gaussian
from letkf_mpi.local.relaxation import NoRelaxation, Rtpp, Rtps
from letkf_mpi.solvers import Hybrid, Letkf, LocalProblem, ParticleFilter, PerturbedObservations
from letkf_mpi.solvers.base import Solver

PROGRAM = "letkf_mpi.twin"
DT = 0.05  # of a step of Runge and Kutta: six hours of the atmosphere, as errors grow


@dataclass(frozen=True)
class Setting:
    """What is observed how often, and by how many members; the defaults are sparse, far apart and over in seconds."""

    variables: int = 24
    every: int = 2  # variable is observed
    steps: int = 2  # of the model between two analyses
    members: int = 20
    cycles: int = 50
    spin_up: int = 25
    length: float = 3.0  # of the Gaussian taper, in variables
    inflation: float = 1.02
    seed: int = 3


class Method(NamedTuple):
    """A solver and what is done to the perturbations after it."""

    solver: Solver
    relaxation: Rtpp | Rtps | AdaptiveRtpp | AdaptiveRtps | NoRelaxation


METHODS = {
    "letkf": Method(Letkf(), Rtpp(alpha=0.4)),
    "adaptive rtps": Method(Letkf(), AdaptiveRtps(initial=0.5)),
    "perturbed observations": Method(PerturbedObservations(share=0.5), Rtps(alpha=0.5)),
    "hybrid": Method(Hybrid(share=0.1), Rtps(alpha=0.5)),
    "particles, sinkhorn": Method(ParticleFilter(regularization=0.1, least_effective=5.0), Rtps(alpha=0.8)),
    "particles, monte carlo": Method(ParticleFilter(resampling="monte_carlo", least_effective=5.0), Rtps(alpha=0.8)),
}


@dataclass(frozen=True)
class Scores:
    """Of each cycle (cycle,): RMSE of the means of background, analysis and free ensemble, and the analysis' spread."""

    background: np.ndarray
    analysis: np.ndarray
    spread: np.ndarray
    free: np.ndarray
    spin_up: int

    def mean(self, name: str) -> float:
        """Of one of these over the cycles after the spin-up."""
        return float(getattr(self, name)[self.spin_up:].mean())


def forecast(x: np.ndarray, steps: int) -> np.ndarray:
    """(…, variable) after `steps` of the Runge-Kutta scheme of order four."""
    for _ in range(steps):
        a = _tendency(x)
        b = _tendency(x + DT / 2 * a)
        c = _tendency(x + DT / 2 * b)
        x = x + DT / 6 * (a + 2 * b + 2 * c + _tendency(x + DT * c))
    return x


def _tendency(x: np.ndarray) -> np.ndarray:
    return (np.roll(x, -1, -1) - np.roll(x, 2, -1)) * np.roll(x, 1, -1) - x + 8.0


def climate(variables: int, count: int, seed: int) -> np.ndarray:
    """(count, variable) states of one run, far apart."""
    x, states = 8.0 + np.random.default_rng(seed).standard_normal(variables), []
    for _ in range(count + 10):
        x = forecast(x, 20)
        states.append(x)
    return np.array(states[10:])


def run(method: Method, setting: Setting = Setting()) -> Scores:
    """One method cycled; all methods see the same truth, errors and first members."""
    rng = np.random.default_rng(setting.seed)
    n, places = setting.variables, np.arange(0, setting.variables, setting.every)
    truth = climate(n, 1, seed=1)[0]
    X = truth + rng.standard_normal((setting.members, n))
    others = climate(n, 40, seed=4)
    static = 0.3 * (others - others.mean(axis=0))
    free, alpha, rows = X, method.relaxation.start(np.zeros(n)), []
    for _ in range(setting.cycles):
        truth, X, free = (forecast(x, setting.steps) for x in (truth, X, free))
        y = truth[places] + rng.standard_normal(places.size)
        background = X
        X, alpha = analysis(X, y, method, rng.standard_normal((places.size, setting.members)), static, alpha, setting)
        rows.append([_error(background, truth), _error(X, truth), np.sqrt(X.var(axis=0, ddof=1).mean()),
                     _error(free, truth)])
    backgrounds, analyses, spreads, without = np.array(rows).T
    return Scores(backgrounds, analyses, spreads, without, setting.spin_up)


def _error(X: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(((X.mean(axis=0) - truth) ** 2).mean()))


def analysis(X: np.ndarray, y: np.ndarray, method: Method, noise: np.ndarray, static: np.ndarray, alpha: np.ndarray,
             setting: Setting) -> tuple[np.ndarray, np.ndarray]:
    """One analysis of the members `X` (member, variable) variable by variable, and the next α (variable,).

    `y` (observation,) of every `setting.every`th variable, `noise` (observation, member) standard normal, `static`
    (state, variable) perturbations.
    """
    solver, relaxation = method
    n, places = X.shape[1], np.arange(0, X.shape[1], setting.every)
    mean = X.mean(axis=0)
    Xb = X - mean
    Xa, increment, following = np.empty_like(Xb), np.zeros(n), alpha.copy()
    for i in range(n):
        distance = np.abs((places - i + n // 2) % n - n // 2)
        taper = gaussian(distance / setting.length)
        seen = taper > 0
        near = places[seen]
        problem = LocalProblem(Xb[:, near].T, y[seen] - mean[near], np.ones(near.size), taper[seen], setting.inflation,
                               noise[seen], (1, 2), static[:, near].T if solver.needs_static else None)
        weights = solver.solve(problem)  # type: ignore[attr-defined]
        local = np.concatenate([Xb[:, i], static[:, i]]) if solver.needs_static else Xb[:, i]
        Xa[:, i], increment[i] = local @ weights.perturbations, local @ weights.mean
        following[i] = relaxation.update(alpha[i], problem, weights)
    relaxed = relaxation.relax(Xb[:, :, None], Xa[:, :, None], alpha[:, None])[:, :, 0]
    return mean + increment + relaxed, following


def table(scores: Mapping[str, Scores]) -> Iterator[str]:
    """Lines to print, of scores by the name of their method."""
    yield f"{'':<24}{'RMSE of analysis':>18}{'background':>12}{'spread':>9}{'spread / error':>16}"
    for name, found in scores.items():
        error, spread = found.mean("analysis"), found.mean("spread")
        yield f"{name:<24}{error:>18.3f}{found.mean('background'):>12.3f}{spread:>9.3f}{spread / error:>16.2f}"
    yield f"{'without assimilation':<24}{'':>18}{found.mean('free'):>12.3f}"


def main(arguments: Sequence[str]) -> None:
    default = Setting()
    parser = argparse.ArgumentParser(prog=f"python -m {PROGRAM}", description=__doc__.partition("\n")[0],
                                     epilog=f"example:  python -m {PROGRAM} --cycles 200")
    parser.add_argument("--cycles", type=int, default=default.cycles, help="[%(default)s], half of them a spin-up")
    parser.add_argument("--members", type=int, default=default.members, help="[%(default)s]")
    chosen = parser.parse_args(arguments)
    setting = Setting(members=chosen.members, cycles=chosen.cycles, spin_up=chosen.cycles // 2)
    for line in table({name: run(method, setting) for name, method in METHODS.items()}):
        print(line)


if __name__ == "__main__":
    program.run(main, PROGRAM)
