"""The Gaussian that a flow begins with: errors of a forecast step as they are alike all over the globe.

    q(place) = Σ_nm a_nm Y_nm,     a_nm = L_n z_nm,     z ~ N(0, 1)      L_n L_nᵀ = C_n, (channel, channel)

C_n is the covariance between the channels of the harmonic coefficients of degree n, the mean over all m, times what
makes up for the variance beyond the highest degree: fields so drawn have the spectrum of the errors and what their
channels have in common, and nothing of the place and of the weather, which is left to the network.  z has a row for
each of the (N + 1)² coefficients, real and imaginary parts apart (`contracts.harmonics` for Y and N).
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from contracts import harmonics
from contracts.grid import Grid
from networks.harmonics import operators

RIDGE = 1e-6  # of a degree's mean variance, so that roots of covariances from few errors exist


class Source(nn.Module):
    """q (B, channel, lat, lon) of z (B, coefficient, channel); `root` (n, channel, channel) are the L_n."""

    root: Tensor
    basis: Tensor  # (m, n, lat), P_nm, 0 where n < m
    row: Tensor  # (part, m, n): which row of z, and one beyond the last where there is none
    kept: Tensor  # (m, lat, lat), what harmonics up to N hold of a field

    def __init__(self, grid: Grid, channels: int):
        super().__init__()
        most = harmonics.truncation(grid)
        self.nlon = grid.shape[1]
        self.register_buffer("root", torch.zeros(most + 1, channels, channels))
        self.register_buffer("basis", torch.tensor(_basis(grid), dtype=torch.float32), persistent=False)
        self.register_buffer("row", torch.tensor(_rows(most)), persistent=False)
        kept = torch.tensor(operators(grid, np.ones(most + 1)), dtype=torch.float32)
        self.register_buffer("kept", kept, persistent=False)

    @property
    def rows(self) -> int:
        """Of z."""
        return self.root.shape[0] ** 2

    def forward(self, z: Tensor) -> Tensor:
        with_none = torch.cat([z, z.new_zeros(len(z), 1, z.shape[-1])], dim=1)
        a = torch.einsum("ncd,bpmnd->bcpmn", self.root, with_none[:, self.row])
        spectrum = torch.einsum("mnj,bcpmn->bcjmp", self.basis, a).contiguous()
        return torch.fft.irfft(torch.view_as_complex(spectrum) * self.nlon, n=self.nlon, dim=-1)

    def smooth(self, fields: Tensor) -> Tensor:
        """What the degrees of the source hold of `fields` (B, channel, lat, lon)."""
        spectrum = torch.view_as_real(torch.fft.rfft(fields, dim=-1)[..., : len(self.kept)])
        passed = torch.einsum("mij,bcjmr->bcimr", self.kept, spectrum).contiguous()
        return torch.fft.irfft(torch.view_as_complex(passed), n=self.nlon, dim=-1)


def roots(errors: Iterable[np.ndarray], grid: Grid) -> np.ndarray:
    """L_n float32 (n, channel, channel) of fields (channel, lat, lon), their mean taken as zero."""
    analysis, weights = _analysis(grid), grid.area_weights
    total, square, count = 0.0, 0.0, 0
    for field in errors:
        a = coefficients(field, analysis)
        total, count = total + np.einsum("pmnc,pmnd->ncd", a, a), count + 1
        square = square + (weights * field.astype(np.float64) ** 2).mean(axis=(-2, -1))
    several = (2 * np.arange(len(analysis)) + 1)[:, None, None]
    told = np.einsum("ncc->c", total) / np.maximum(square, np.finfo(float).tiny)  # of the variance, by these degrees
    covariance = total / count / several / np.sqrt(np.outer(told, told).clip(RIDGE))
    mean = np.trace(covariance, axis1=1, axis2=2) / covariance.shape[-1]
    ridge = (RIDGE * mean[:, None, None] + np.finfo(np.float32).tiny) * np.eye(covariance.shape[-1])
    return np.linalg.cholesky(covariance + ridge).astype(np.float32)


def coefficients(fields: np.ndarray, analysis: np.ndarray) -> np.ndarray:
    """a (part, m, n, channel) of `fields` (channel, lat, lon): real and imaginary parts, times √2 where m > 0, so that
    their squares sum up to the mean square of the fields; `analysis` of the grid."""
    spectrum = np.fft.rfft(fields.astype(np.float64), axis=-1)[..., : len(analysis)] / fields.shape[-1]
    a = np.einsum("mnj,cjm->mnc", analysis, spectrum)
    a[1:] *= np.sqrt(2)
    return np.stack([a.real, a.imag])


def _analysis(grid: Grid) -> np.ndarray:
    """(m, n, lat): least-squares fits of the harmonics of each m, 0 where n < m."""
    most = harmonics.truncation(grid)
    found = np.zeros((most + 1, most + 1, grid.shape[0]))
    for m in range(most + 1):
        P, _, _ = harmonics.legendre(grid.lat, m, most)
        found[m, m:] = harmonics.fit(P, np.sqrt(grid.area_weights[:, 0]))
    return found


def _basis(grid: Grid) -> np.ndarray:
    """(m, n, lat) P_nm, over √2 where m > 0: two parts then share what one has at m = 0."""
    most = harmonics.truncation(grid)
    found = np.zeros((most + 1, most + 1, grid.shape[0]))
    for m in range(most + 1):
        P, _, _ = harmonics.legendre(grid.lat, m, most)
        found[m, m:] = P.T / (np.sqrt(2) if m else 1)
    return found


def _rows(most: int) -> np.ndarray:
    """(part, m, n): the row of z of each coefficient; (most + 1)², one beyond the last, where n < m, and for the
    imaginary part of m = 0."""
    found = np.full((2, most + 1, most + 1), (most + 1) ** 2)
    m, n = np.indices((most + 1, most + 1))
    there = np.stack([n >= m, (n >= m) & (m > 0)])
    found[there] = np.arange((most + 1) ** 2)
    return found
