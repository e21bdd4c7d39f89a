"""How errors grow in a forecast model: claims that one model is less chaotic than another, as numbers.

    python -m tests.benchmarks.error_growth growth    EXPERIMENT.toml --errors NAME --starts 1992020100 … --days 7
    python -m tests.benchmarks.error_growth exponent  EXPERIMENT.toml --starts 1992010100 --days 60
    python -m tests.benchmarks.error_growth restoring EXPERIMENT.toml --errors NAME --starts 1992022900

growth     twins: the truth, and the truth plus 1e-4, 1e-2 and 1 times an error of analysis (that of experiment NAME at
           the start). Kinetic energy of their difference at 500 hPa by bands of total wavenumber; the rate is the slope
           of the logarithm of its root between one and four days, and ln 2 over its mean the doubling time.
exponent   the leading Lyapunov exponent of a network, by the tangent of its steps (`torch.func.jvp`), renormalised at
           each: the mean growth of a vector that has forgotten where it began (Benettin et al. 1980, Meccanica 15, 9).
restoring  the truth plus perturbations of one energy: members of NAME before and after its analysis, as RTPP and RTPS
           give them back, bred ones, and white noise. How much of their energy is left, of their wind away from the
           geostrophic one, and at small scales, after 6 to 48 hours.

A network steps in double precision, so that 1e-4 of an error is no rounding; SPEEDY in its own, which is single.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import netCDF4
import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from contracts import balance, config, program, state, times
from contracts.balance import U, V
from contracts.grid import Grid
from contracts.nature import beside
from contracts.paths import ExperimentFolder
from contracts.state import StateSpace
from model_server import config as served
from model_server import models, restart
from model_server.models.base import Batch
from networks import starter
from networks.climax import emulator
from verify import bootstrap, spectrum
from verify.compare import table
from verify.config import Settings
from verify.summary import number

LEVEL = 50_000.0  # Pa
FRACTIONS = (1e-4, 1e-2, 1.0)  # of an error of analysis
BANDS = {"n 1 to 6": (1, 6), "n 7 to 13": (7, 13), "n 14 on": (14, None)}
FIT_DAYS = (1.0, 4.0)
FOLLOWED_HOURS = (0, 6, 12, 24, 48)

Step = Callable[[np.ndarray], np.ndarray]  # (member, channel, lat, lon) -> the same one step later


def main(arguments: Sequence[str]) -> None:
    parser = program.parser("python -m tests.benchmarks.error_growth", __doc__ or "",
                            "python -m tests.benchmarks.error_growth growth run/experiments/year/climax_600km.toml "
                            "--errors climax_600km_residuals --starts 1992020100 --days 7")
    parser.add_argument("what", choices=("growth", "exponent", "restoring"))
    program.add_experiment(parser)
    parser.add_argument("--errors", metavar="NAME", help="the experiment whose analyses or members are taken")
    parser.add_argument("--starts", nargs="+", type=times.parse, required=True, metavar="TIME")
    parser.add_argument("--days", type=float, default=7.0)
    chosen = parser.parse_args(arguments)
    verified, settings = config.load(chosen.experiment, Settings), served.load(chosen.experiment)
    if chosen.what == "exponent":
        print(exponents(verified, settings, chosen.starts, round(chosen.days * 4)))
    elif not chosen.errors:
        parser.error(f"{chosen.what} needs --errors NAME, an experiment in the work folder")
    else:
        errors = verified.experiment.in_work(chosen.errors)
        of = growth if chosen.what == "growth" else restoring
        print(of(verified, settings, ExperimentFolder(errors), chosen.starts, round(chosen.days * 4)))


def stepper(settings: served.Settings, verified: Settings, time: datetime) -> Step:
    """Steps on from `time`; a model that keeps restarts begins each member with that of the nature run."""
    if settings.model.name == "climax":
        network = _network(settings)
        return lambda fields: network(torch.from_numpy(fields)).numpy()
    model = models.create(settings.model.name, settings.model.options, settings.space)
    truth = verified.truth(time)
    assert truth is not None
    own = restart.read(beside(truth), model.name, time).own if model.keeps_restart else None
    batch: list[Batch] = []

    def step(fields: np.ndarray) -> np.ndarray:
        before = batch.pop() if batch else Batch(time, fields, (own,) * len(fields))
        batch.append(model.step(Batch(before.time, fields.astype(np.float32), before.restart)))
        return batch[0].data.astype(np.float64)

    return step


def _network(settings: served.Settings) -> Callable[[Tensor], Tensor]:
    """A step of ClimaX in double precision."""
    path = starter.find(dict(settings.model.options).get("checkpoint", "climax_t31"), ".safetensors")
    made = emulator.emulator(emulator.load(path), settings.space, str(path)).double()
    return lambda fields: made.advance((fields,), 0)[0]


def truth_at(verified: Settings, space: StateSpace, time: datetime) -> np.ndarray:
    """(channel, lat, lon)"""
    path = verified.truth(time)
    assert path is not None
    return state.read(path, space, time).data.astype(np.float64)


def followed(step: Step, start: np.ndarray, steps: int) -> list[np.ndarray]:
    """Differences (member - 1, channel, lat, lon) of `start` (member, …) to its first member, from step 0 on."""
    found = [start[1:] - start[:1]]
    for _ in range(steps):
        start = step(start)
        found.append(start[1:] - start[:1])
    return found


def rates(amplitude: np.ndarray, days: np.ndarray, first: float, last: float) -> np.ndarray:
    """(…) slopes per day of ln `amplitude` (time, …) between `first` and `last` days, by least squares."""
    within = (days >= first) & (days <= last)
    logarithms = np.log(amplitude[within])
    return np.polyfit(days[within], logarithms.reshape(len(logarithms), -1), 1)[0].reshape(logarithms.shape[1:])


def doubling(rate: np.ndarray) -> str:
    """Days by the mean of `rate` (start,), and by the ends of its interval; "never" where that does not grow."""
    low, high = bootstrap.interval(rate) if len(rate) > 1 else (rate[0], rate[0])

    def days(value: float) -> str:
        return f"{np.log(2) / value:.1f}" if value > 0 else "never"

    return f"{days(rate.mean())} ({days(high)} to {days(low)})"


def amplitudes(difference: np.ndarray, space: StateSpace) -> np.ndarray:
    """(member, band) roots of the kinetic energy at 500 hPa, m/s, in each of BANDS and in all."""
    u, v = (difference[:, balance.index_of(space, name, LEVEL)] for name in (U, V))
    energy = spectrum.kinetic_energy(space.grid, u, v)
    bands = [energy[:, low : None if high is None else high + 1].sum(axis=1) for low, high in BANDS.values()]
    return np.sqrt(np.stack([*bands, energy.sum(axis=1)], axis=1))


def growth(verified: Settings, settings: served.Settings, errors: ExperimentFolder, starts: Sequence[datetime],
           steps: int) -> str:
    """Doubling times in days by fraction and band, with intervals over the starts."""
    found = []
    for start in starts:
        truth = truth_at(verified, settings.space, start)
        error = _error(verified, settings.space, errors, start)
        twins = np.stack([truth, *(truth + fraction * error for fraction in FRACTIONS)])
        differences = followed(stepper(settings, verified, start), twins, steps)
        series = np.stack([amplitudes(each, settings.space) for each in differences])  # (time, fraction, band)
        days = np.arange(steps + 1) * verified.experiment.step_hours / 24
        found.append(rates(series, days, *FIT_DAYS))
    each = np.array(found)  # (start, fraction, band)
    rows = [[f"{fraction:g}", *(doubling(each[:, f, b]) for b in range(each.shape[2]))]
            for f, fraction in enumerate(FRACTIONS)]
    return table(["of an analysis error, doubling days", *BANDS, "all"], rows)


def _error(verified: Settings, space: StateSpace, errors: ExperimentFolder, time: datetime) -> np.ndarray:
    """(channel, lat, lon) error of the analysis of an experiment, zero in channels that it does not have."""
    mean = errors.at(time).analysis.mean
    known = [channel in _known(mean, space).channels for channel in space.channels]
    return _of(mean, space, time) - truth_at(verified, space, time) * np.array(known)[:, None, None]


def _known(path: Path, space: StateSpace) -> StateSpace:
    """The channels of `space` that a file has."""
    with netCDF4.Dataset(path) as dataset:
        return StateSpace(space.grid, tuple(each for each in space.channels if each.variable in dataset.variables))


def _of(path: Path, space: StateSpace, time: datetime) -> np.ndarray:
    """(channel, lat, lon) of a file, zero in channels that it does not have."""
    known, whole = _known(path, space), np.zeros((len(space.channels), *space.grid.shape))
    whole[[space.channels.index(channel) for channel in known.channels]] = state.read(path, known, time).data
    return whole


def leading_exponent(step: Callable[[Tensor], Tensor], x: Tensor, v: Tensor, steps: int,
                     norm: Callable[[Tensor], Tensor]) -> tuple[np.ndarray, Tensor]:
    """(steps,) logarithms of the growth of `v` along the trajectory from `x`, and where `v` ends."""
    grown = []
    for _ in range(steps):
        x, v = torch.func.jvp(step, (x,), (v,))
        size = norm(v)
        grown.append(float(torch.log(size)))
        v = v / size
    return np.array(grown), v


def exponents(verified: Settings, settings: served.Settings, starts: Sequence[datetime], steps: int) -> str:
    """Leading exponent per day from each start, the first third left out for the vector to forget its beginning."""
    network, space, rows = _network(settings), settings.space, []
    scale = torch.from_numpy(np.stack([truth_at(verified, space, start) for start in starts]).std((0, 2, 3)))
    weights = torch.from_numpy(space.grid.area_weights / space.grid.area_weights.sum())

    def norm(v: Tensor) -> Tensor:
        return (((v / scale[:, None, None]) ** 2) * weights).sum((1, 2, 3)).mean().sqrt()

    for start in starts:
        x = torch.from_numpy(truth_at(verified, space, start))[None]
        v = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(1)) * scale[:, None, None]
        with sdpa_kernel(SDPBackend.MATH):  # the others know no forward derivative
            grown, _ = leading_exponent(network, x, v / norm(v), steps, norm)
        rate = grown[steps // 3 :] * 24 / verified.experiment.step_hours
        halves = [part.mean() for part in np.array_split(rate, 2)]
        rows.append([times.name(start), f"{rate.mean():.3f}", f"{np.log(2) / rate.mean():.2f}",
                     " / ".join(f"{half:.3f}" for half in halves)])
    return table(["start", "exponent, 1/day", "doubling days", "halves"], rows)


def restoring(verified: Settings, settings: served.Settings, errors: ExperimentFolder, starts: Sequence[datetime],
              steps: int) -> str:
    """What is left of perturbations of one energy; `steps` are for the bred ones to grow in."""
    space, rows = settings.space, []
    step_hours = verified.experiment.step_hours
    kinds = [_perturbations(verified, settings, errors, start, steps) for start in starts]
    for name in kinds[0]:
        measured = []
        for start, of_kind in zip(starts, kinds, strict=True):
            truth = truth_at(verified, space, start)
            twins = np.concatenate([truth[None], truth + of_kind[name]])
            differences = followed(stepper(settings, verified, start), twins, max(FOLLOWED_HOURS) // step_hours)
            measured.append([_measures(differences[hours // step_hours], space) for hours in FOLLOWED_HOURS])
        mean = np.mean(measured, axis=0)  # (hours, measure)
        rows += [[f"{name}, {what}", *map(number, mean[:, m] / (mean[0, m] if m == 0 else 1))]
                 for m, what in enumerate(("energy", "ageostrophic", "small scales"))]
    return table(["share", *(f"{hours} h" for hours in FOLLOWED_HOURS)], rows)


def _perturbations(verified: Settings, settings: served.Settings, errors: ExperimentFolder, start: datetime,
                   steps: int) -> dict[str, np.ndarray]:
    """By kind (member, channel, lat, lon), each member with the energy that the analysis' members have on average."""
    space, count = settings.space, 4
    found, here = {}, errors.at(start)
    for name, ensemble in (("as RTPP (background)", here.background), ("as RTPS (analysis)", here.analysis)):
        X = np.stack([_of(path, space, start) for path in ensemble.members(count)])
        found[name] = X - _of(ensemble.mean, space, start)
    spread = np.sqrt((found["as RTPS (analysis)"] ** 2).mean(axis=(0, 2, 3), keepdims=True))
    found["white"] = spread * np.random.default_rng(1).standard_normal((count, *spread.shape[1:2], *space.grid.shape))
    ago = start - timedelta(hours=steps * verified.experiment.step_hours)
    truth = truth_at(verified, space, ago)
    twins = np.concatenate([truth[None], truth + 0.1 * found["white"]])
    found["bred"] = followed(stepper(settings, verified, ago), twins, steps)[-1]
    energy = total_energy(found["as RTPS (analysis)"], space).mean()
    return {name: dx * np.sqrt(energy / total_energy(dx, space))[:, None, None, None] for name, dx in found.items()}


def total_energy(dx: np.ndarray, space: StateSpace) -> np.ndarray:
    """(member,)"""
    return np.array([balance.energy(each, space).sum() for each in dx])


def _measures(dx: np.ndarray, space: StateSpace) -> list[float]:
    """Energy; of the wind at 500 hPa the share that is not geostrophic, and of the smallest third of the scales."""
    everywhere = np.ones(space.grid.shape, bool)
    pairs = [balance.geostrophic(each, space, LEVEL, everywhere) for each in dx]
    off = sum((w * (a - b) ** 2).sum() for a, b, w in pairs) / sum((w * a**2).sum() for a, _, w in pairs)
    return [float(total_energy(dx, space).mean()), float(off), small_share(dx, space, space.grid)]


def small_share(dx: np.ndarray, space: StateSpace, grid: Grid) -> float:
    """Of the kinetic energy at 500 hPa, in the smallest third of the wavenumbers."""
    u, v = (dx[:, balance.index_of(space, name, LEVEL)] for name in (U, V))
    energy = spectrum.kinetic_energy(grid, u, v).sum(axis=0)
    return float(energy[2 * (len(energy) - 1) // 3 + 1 :].sum() / energy.sum())


if __name__ == "__main__":
    program.run(main, "error_growth")
