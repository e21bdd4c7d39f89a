"""Which forecasts an epoch is made of and in which order, and their fields, read one batch ahead.

The order is a permutation drawn from (seed, phase, epoch): it needs no state to resume, and every rank of time in it
is the same however often the training was interrupted.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from scipy.ndimage import gaussian_filter

from networks.data.shards import Series
from networks.training.task import Batch

SMOOTH = 2.0  # grid lengths, of the smooth half of a disturbance and of weights of mixing
LARGE = 8  # grid lengths, of errors of fields that no observation sees
MIXING, UNOBSERVED = 1, 2  # tell their random numbers from those of noise


def order(count: int, seed: int, phase: int, epoch: int) -> np.ndarray:
    """A permutation of 0 … count - 1."""
    return np.random.default_rng((seed, phase, epoch)).permutation(count)


def batch_count(samples: int, size: int, limit: int | None) -> int:
    """Batches of `size` in an epoch of at most `limit` samples."""
    return min(samples, limit or samples) // size


def batches(windows: np.ndarray, size: int, seed: int, phase: int, epoch: int,
            limit: int | None = None) -> list[np.ndarray]:
    """`windows` (n, steps + 1) shuffled, in pieces of exactly `size`; what is left over waits for another epoch."""
    shuffled = windows[order(len(windows), seed, phase, epoch)]
    return [shuffled[i * size : (i + 1) * size] for i in range(batch_count(len(windows), size, limit))]


def disturbance(shape: tuple[int, ...], seed: int, phase: int, epoch: int, batch: int) -> np.ndarray:
    """Noise for the first states of a batch, float32 (B, channel, lat, lon).

    Each field has a pattern of its own, grid-scale and smooth in equal parts of variance one together, times a strength
    of its own, |N(0, 1)|: states that no atmosphere has, as sums of members may be, and often in one channel only.
    """
    rng = np.random.default_rng((seed, phase, epoch, batch))
    rough, smooth = rng.standard_normal((2, *shape))
    smooth = gaussian_filter(smooth, SMOOTH, axes=(-2, -1), mode=("nearest", "wrap"))
    pattern = rough + smooth / smooth.std(axis=(-2, -1), keepdims=True)
    return (pattern * np.abs(rng.standard_normal((*shape[:-2], 1, 1))) / np.sqrt(2)).astype(np.float32)


def mixing(members: int, ln_p: np.ndarray, horizontal: tuple[int, int], seed: int, phase: int, epoch: int,
           batch: int) -> np.ndarray:
    """Weights of other states to be mixed in, float32 (B, channel, lat, lon), smooth as those of a local analysis.

    White noise smoothed over grid lengths and correlated over `ln_p` (channel,) as exp(-½ d²), of variance one, times a
    strength of its own for each state, |N(0, 1)|.
    """
    rng = np.random.default_rng((seed, phase, epoch, batch, MIXING))
    smooth = gaussian_filter(rng.standard_normal((members, len(ln_p), *horizontal)), SMOOTH, axes=(-2, -1),
                             mode=("nearest", "wrap"))
    smooth /= smooth.std(axis=(-2, -1), keepdims=True)
    root = _root(np.exp(-0.5 * (ln_p[:, None] - ln_p) ** 2))
    weights = np.einsum("cd,bdyx->bcyx", root, smooth)
    return (weights * np.abs(rng.standard_normal((members, 1, 1, 1)))).astype(np.float32)


def unobserved(shape: tuple[int, ...], seed: int, phase: int, epoch: int, batch: int) -> np.ndarray:
    """Errors as they gather in channels that no observation sees, float32 (B, channel, lat, lon), of variance one.

    White noise smoothed over so much that part of it is a wrong mean of the globe; half of the variance is common to
    all channels of a state, as when the whole column lies too high, half is each one's own.
    """
    rng = np.random.default_rng((seed, phase, epoch, batch, UNOBSERVED))
    members, channels, nlat, nlon = shape
    margin = 4 * LARGE  # rows beyond the poles, so that all that are kept have as many around them
    common, own = (gaussian_filter(rng.standard_normal((members, count, nlat + 2 * margin, nlon)), LARGE,
                                   axes=(-2, -1), mode=("nearest", "wrap")) for count in (1, channels))
    pattern = (common + own)[:, :, margin : margin + nlat] / np.sqrt(2)
    return (pattern * LARGE * np.sqrt(4 * np.pi)).astype(np.float32)  # the variance behind a Gaussian is 1 / 4 pi s^2


def _root(covariance: np.ndarray) -> np.ndarray:
    """Symmetric square root."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def read_ahead(series: Series, pieces: list[np.ndarray]) -> Iterator[Batch]:
    """The batch of each piece; the next is read while one is worked on."""
    if not pieces:
        return
    with ThreadPoolExecutor(1) as pool:
        waiting: Future[Batch] = pool.submit(read, series, pieces[0])
        for following in [*pieces[1:], None]:
            ready = waiting.result()
            if following is not None:
                waiting = pool.submit(read, series, following)
            yield ready


def read(series: Series, piece: np.ndarray) -> Batch:
    """The samples whose times are numbered `piece` (B, steps + 1)."""
    fields = series.fields(piece.T.ravel()).reshape(*piece.T.shape, *series.space.shape)
    return Batch(fields, series.seconds[piece.T])
