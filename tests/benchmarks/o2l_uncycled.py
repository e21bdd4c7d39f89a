"""What an observation-to-latent network knows of states by itself, and how long it errs alike.

    python -m tests.benchmarks.o2l_uncycled EXPERIMENT.toml --footprints FILE --to FILE.npz

EXPERIMENT names truth ([verify]), times, latent and weights ([neural] method = "hloba").  The footprints' stations see
the truth of each time, with errors from the experiment's seed and the time.  FILE.npz holds by time and channel `rmse`,
the error of R(mu); by time `ratio`, the mean of (z - mu)^2 / r; and `correlation`, of the errors of mu at `lags` hours,
each number of the latent in units of its own deviation sqrt(r).
"""

import logging
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_array

from contracts import config, paths, program, state, times
from contracts.state import StateSpace
from networks.o2l import estimate, footprints, gridding
from neural_da.config import load
from neural_da.hloba import Prepared
from verify.config import Settings as Verified

log = logging.getLogger("o2l_uncycled")
LAGS = (6, 12, 24, 48, 96, 192)  # hours


def main(arguments: Sequence[str]) -> None:
    parser = program.parser("python -m tests.benchmarks.o2l_uncycled", __doc__ or "",
                            "python -m tests.benchmarks.o2l_uncycled mine.toml --footprints made.nc --to skill.npz")
    program.add_experiment(parser)
    parser.add_argument("--footprints", required=True, metavar="FILE", help="in the work folder")
    parser.add_argument("--to", type=Path, required=True, metavar="FILE")
    chosen = parser.parse_args(arguments)
    settings, verified = load(chosen.experiment), config.load(chosen.experiment, Verified)
    experiment, space = settings.experiment, settings.state.space(settings.grid.grid())
    method = settings.neural.prepared(experiment, space)
    assert isinstance(method, Prepared)
    seen = footprints.read(experiment.in_work(chosen.footprints), space)
    A = gridding.in_scales(seen.rows, method.latent.scale.double().numpy())
    rmse, ratio, errors = [], [], []
    for time in experiment.times():
        truth = state.read(verified.truth(time), space, time).data.reshape(len(space.channels), -1)
        mean, deviation, error = told(method, A, truth, times.to_seconds(time), experiment.seed)
        rmse.append(off(method, mean, truth, space))
        errors.append((error / deviation).astype(np.float32))
        ratio.append(np.square(errors[-1]).mean())
        log.info("%s: ratio %.3f", times.name(time), ratio[-1])
    found = [alike(errors, timedelta(hours=lag) // experiment.step) for lag in LAGS]
    with paths.atomic(chosen.to) as partial, open(partial, "wb") as file:
        np.savez(file, channels=[channel.name for channel in space.channels], rmse=rmse, ratio=ratio, lags=LAGS,
                 correlation=found)


def told(method: Prepared, A: csr_array, truth: np.ndarray, seconds: int,
         seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """mu, the root of r, and mu - z (size,)."""
    latent, observer = method.latent, method.observer
    xi = (truth.reshape(-1) - latent.mean.numpy()) / latent.scale.numpy()
    anomaly = xi - observer.mean_of(np.array([seconds]))[0].numpy()
    noise = np.random.default_rng((seed, seconds)).standard_normal(A.shape[0])
    found = estimate.posterior(observer, gridding.gridded(A, A @ anomaly + noise), seconds)
    mean = (found.weighted / found.precision).numpy()
    return mean, found.precision.numpy() ** -0.5, mean - method.encode(truth).numpy()


def off(method: Prepared, mean: np.ndarray, truth: np.ndarray, space: StateSpace) -> np.ndarray:
    """Root mean square over the globe of R(mu) - truth (channel,)."""
    x = method.latent.reconstruct(torch.from_numpy(mean).float(), len(truth)).numpy()
    return np.sqrt((np.square(x - truth, dtype=float) * space.grid.area_weights.reshape(-1)).mean(axis=-1))


def alike(errors: Sequence[np.ndarray], steps: int) -> float:
    """Correlation of errors (size,) so many steps apart; NaN where there are none."""
    pairs = [(a, b) for a, b in zip(errors, errors[steps:], strict=False)] if steps else []
    if not pairs:
        return float("nan")
    product, first, second = (sum(float(x @ y) for x, y in of) for of in
                              (pairs, [(a, a) for a, _ in pairs], [(b, b) for _, b in pairs]))
    return product / (first * second) ** 0.5


if __name__ == "__main__":
    program.run(main, "o2l_uncycled")
