"""Columns of background error covariances: B h for an observation h, (channel, lat, lon) each.

    latent        G G^T h
    autoencoder   J J^T h,   J the derivative of its increment by zeta at a background
    sample        1/(n - 1) sum e (e . h), of n errors e less their mean, as it is or tapered by exp(-d^2 / 2 L^2)
    zonal         the same of each row's errors turned to all longitudes, so that it is the same all round a row
"""

from collections.abc import Callable

import numpy as np
import torch

from networks.autoencoder.network import Autoencoder
from networks.latent.operator import Operator

Column = Callable[[np.ndarray], np.ndarray]  # h (channel, lat, lon) -> B h


def of_latent(latent: Operator) -> Column:
    deviation = latent.variance.sqrt()

    def column(h: np.ndarray) -> np.ndarray:
        seen = latent.adjoint(torch.tensor(h, dtype=deviation.dtype).flatten(), deviation)
        return latent.increment(seen, deviation).numpy().reshape(h.shape)

    return column


def of_autoencoder(network: Autoencoder, background: np.ndarray) -> Column:
    """About `background` (channel, lat, lon)."""
    deviation, x = network.variance.sqrt(), torch.tensor(background).flatten(-2)
    z, zero = network.encode(x.to(deviation.dtype)), torch.zeros_like(deviation)

    def increment(zeta: torch.Tensor) -> torch.Tensor:
        return network.increment(z, zeta, deviation)

    def column(h: np.ndarray) -> np.ndarray:
        by_state = torch.tensor(h, dtype=deviation.dtype).flatten(-2)
        seen = torch.func.vjp(increment, zero)[1](by_state)
        return torch.func.jvp(increment, (zero,), seen)[1].numpy().reshape(h.shape)

    return column


def of_sample(errors: np.ndarray, taper: Callable[[np.ndarray], np.ndarray] | None = None) -> Column:
    """Of `errors` (error, channel, lat, lon); `taper` makes of h the factors (lat, lon)."""
    centred = errors - errors.mean(axis=0)

    def column(h: np.ndarray) -> np.ndarray:
        found = np.tensordot(np.tensordot(centred, h, axes=3), centred, axes=1) / (len(errors) - 1)
        return found if taper is None else found * taper(h)

    return column


def zonal(errors: np.ndarray) -> Column:
    """Of `errors` (error, channel, lat, lon), by their waves along each row."""
    waves, nlon = np.fft.rfft(errors - errors.mean(axis=0), axis=-1), errors.shape[-1]

    def column(h: np.ndarray) -> np.ndarray:
        found = np.zeros(h.shape)
        for channel, row, place in np.argwhere(h):
            cross = (waves[:, channel, row].conj()[:, None, None] * waves).mean(axis=0)
            along = np.fft.irfft(cross, nlon, axis=-1) / nlon
            found += h[channel, row, place] * np.roll(along, place, axis=-1)
        return found

    return column
