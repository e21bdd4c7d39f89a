"""Which forecasts an epoch is made of and in which order, and their fields, read one batch ahead.

The order is a permutation drawn from (seed, phase, epoch): it needs no state to resume, and every rank of time in it
is the same however often the training was interrupted.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from model_server.training.shards import Series


def order(count: int, seed: int, phase: int, epoch: int) -> np.ndarray:
    """A permutation of 0 … count - 1."""
    return np.random.default_rng((seed, phase, epoch)).permutation(count)


def batch_count(samples: int, size: int, limit: int | None) -> int:
    """Batches of `size` in an epoch of at most `limit` samples."""
    return min(samples, limit or samples) // size


def batches(windows: np.ndarray, size: int, seed: int, phase: int, epoch: int,
            limit: int | None = None) -> list[np.ndarray]:  # fmt: skip
    """`windows` (n, steps + 1) shuffled, in pieces of exactly `size`; what is left over waits for another epoch."""
    shuffled = windows[order(len(windows), seed, phase, epoch)]
    return [shuffled[i * size : (i + 1) * size] for i in range(batch_count(len(windows), size, limit))]


def read_ahead(series: Series, pieces: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Fields of each piece, float32 (steps + 1, B, channel, lat, lon); the next is read while one is worked on."""
    if not pieces:
        return
    with ThreadPoolExecutor(1) as pool:
        waiting: Future[np.ndarray] = pool.submit(_read, series, pieces[0])
        for following in [*pieces[1:], None]:
            ready = waiting.result()
            if following is not None:
                waiting = pool.submit(_read, series, following)
            yield ready


def _read(series: Series, piece: np.ndarray) -> np.ndarray:
    return series.fields(piece.T.ravel()).reshape(piece.shape[1], piece.shape[0], *series.space.shape)
