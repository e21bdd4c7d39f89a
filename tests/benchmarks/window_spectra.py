"""Whether a network's adjoint is noise: spectra of gradients and increments of 4D-Var for windows of several lengths.

    python -m tests.benchmarks.window_spectra EXPERIMENT.toml --backgrounds FOLDER --starts 1992012100 --hours 0 24 48

Cases are those of `tests.benchmarks.window_cases`.  Of each length L, means over the cases:

    gradient     t dJ_o/dx at the window's beginning of what is observed L later alone, t the tendency's deviation
    increment    of the minimum of J with what is observed every six hours up to L

    small        share of the variance that lies in degrees n >= 16 of spherical harmonics, temperature at 500 hPa, and
                 of the energy of the wind there
    m = 16, 32   share of what changes along a circle of latitude in the zonal wavenumbers of patches of four columns,
                 the latent's, and of two, the network's tokens on 64 columns
    linear       w (M(x + dx) - M(x)) / (dx M' w): what a change by the increment makes of what is observed L later,
                 over what the gradient says; w = H' R^-1 (y - H x)
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from contracts import program, times
from neural_da.problem import Problem
from tests.benchmarks import window_cases
from tests.benchmarks.window_cases import Cases
from verify import spectrum

SMALL = 16  # degrees from here on


@dataclass(frozen=True)
class Spectra:
    """Of one field: shares in per cent, and its root mean square in scales of the channels."""

    small_t: float
    small_wind: float
    patches: float
    points: float
    size: float

    @classmethod
    def of(cls, cases: Cases, field: np.ndarray) -> "Spectra":
        """`field` (channel, column) in scales of the channels."""
        fields, grid = field.reshape(cases.space.shape), cases.space.grid
        t, u, v = (fields[cases.number(name)] for name in ("temperature_500", "u_component_of_wind_500",
                                                            "v_component_of_wind_500"))
        scalar, wind = spectrum.variance(grid, t), spectrum.kinetic_energy(grid, u, v)
        zonal = np.abs(np.fft.rfft(t, axis=-1)) ** 2 * grid.area_weights[:, :1]
        zonal[:, 1:-1] *= 2
        shares = zonal[:, 1:].sum(axis=0) / zonal[:, 1:].sum()  # of what changes along the circle of latitude
        return cls(100 * scalar[SMALL:].sum() / scalar[1:].sum(), 100 * wind[SMALL:].sum() / wind.sum(),
                   100 * shares[15], 100 * shares[31], float(np.sqrt((fields**2).mean())))

    def __str__(self) -> str:
        return (f"small T {self.small_t:.1f}, wind {self.small_wind:.1f}; m = 16: {self.patches:.2f}, m = 32: "
                f"{self.points:.2f}; size {self.size:.3g}")


def main(arguments: Sequence[str]) -> None:
    parser = program.parser("python -m tests.benchmarks.window_spectra", __doc__ or "",
                            "python -m tests.benchmarks.window_spectra run/experiments/latent/fourdvar_window.toml "
                            "--backgrounds work/neural_three_d_var --starts 1992012100 --hours 0 6 12 24 48")
    program.add_experiment(parser)
    parser.add_argument("--backgrounds", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--starts", nargs="+", type=times.parse, required=True, metavar="TIME")
    parser.add_argument("--hours", nargs="+", type=int, required=True, metavar="L")
    parser.add_argument("--increments", action="store_true", help="minimise too")
    chosen = parser.parse_args(arguments)
    cases = window_cases.of(chosen.experiment, chosen.backgrounds)
    for hours in chosen.hours:
        slopes = [gradient(cases, start, hours) for start in chosen.starts]
        print(f"{hours} h gradient:", mean([Spectra.of(cases, slope) for slope in slopes]), flush=True)
        if chosen.increments:
            found = [increment(cases, start, hours) for start in chosen.starts]
            print(f"{hours} h increment:", mean([Spectra.of(cases, dx) for dx in found]))
            ratios = [linearity(cases, start, hours, dx) for start, dx in zip(chosen.starts, found, strict=True)]
            print(f"{hours} h linear:", " ".join(f"{ratio:.3f}" for ratio in ratios), flush=True)


def mean(found: Sequence[Spectra]) -> Spectra:
    return Spectra(*np.mean([dataclasses.astuple(one) for one in found], axis=0))


def gradient(cases: Cases, start: datetime, hours: int) -> np.ndarray:
    """(channel, column) t dJ_o/dx of what is observed so many hours later alone."""
    problem, x = last(cases, start, hours)
    at = torch.tensor(x[0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(_observed_cost(cases, problem, at), at)
    return slope.numpy() * scale(cases)


def increment(cases: Cases, start: datetime, hours: int) -> np.ndarray:
    """(channel, column) of the analysis with all that is observed up to so many hours later, in scales."""
    offsets = [timedelta(hours=each) for each in range(0, hours + 1, 6)]
    x = cases.background(start)
    return (cases.analysed(cases.method, x, start, cases.table(start, hours), offsets) - x)[0] / scale(cases)


def linearity(cases: Cases, start: datetime, hours: int, dx: np.ndarray) -> float:
    """What becomes of w M(x) over what the gradient says of it."""
    problem, x = last(cases, start, hours)
    (term,) = problem.terms
    at = torch.tensor(x[0], dtype=torch.float64, requires_grad=True)
    there = _carried(cases, problem, at)
    away = there.detach().requires_grad_()
    (w,) = torch.autograd.grad(-term.cost(away, term.value), away)
    (slope,) = torch.autograd.grad((w * there).sum(), at)
    change = torch.tensor(dx * scale(cases))
    with torch.no_grad():
        later = _carried(cases, problem, at + change)
    return float((w * (later - there.detach())).sum() / (slope * change).sum())


def last(cases: Cases, start: datetime, hours: int) -> tuple[Problem, np.ndarray]:
    """Of what is observed so many hours after `start` alone, and the background (1, channel, column) at `start`."""
    x, offset = cases.background(start), timedelta(hours=hours)
    return cases.problem(x, start, cases.table(start + offset, 0), [offset]), x


def _observed_cost(cases: Cases, problem: Problem, x: Tensor) -> Tensor:
    (term,) = problem.terms
    return term.cost(_carried(cases, problem, x), term.value)


def _carried(cases: Cases, problem: Problem, x: Tensor) -> Tensor:
    (term,) = problem.terms
    return cases.method.model.states(x, problem.time, [term.offset])[0]


def scale(cases: Cases) -> np.ndarray:
    """(channel, column) t"""
    return cases.method.latent.scale.double().numpy().reshape(len(cases.space.channels), -1)


if __name__ == "__main__":
    program.run(main, "window_spectra")
