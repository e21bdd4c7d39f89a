r"""Optimal interpolation of many states that the same stations see, with a Gaussian climate as prior.

In units of the climate's scale, z = (x - m) / s ~ N(0, C), and of the errors, d = A z + e, e ~ N(0, I), with the rows
of A = R^-1/2 H' s,

    z_a = α² C Aᵀ (α² A C Aᵀ + I)⁻¹ d            α = 1, or what background errors are in units of the climate's

which conjugate gradients give for one state (`neural_da.climatology`).  For many the matrix is worth factorising: of n
observations it takes n² numbers and n³ / 3 products once, and n² for each state.  With the modes E_k and variances of
C (`networks.climate.gaussian`), t_k how often a wavenumber counts in a real field, and the spectra M_k of the rows,

    A C Aᵀ = Σ_k t_k Re [ M_k (E_kᵀ (λ_k - r_k) E_k* + r_k) M_kᴴ ]        M_k = Σ_lon A e^{2πi k lon / nlon} / √nlon
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array, hstack

from networks.climate.gaussian import Correlation, identity


def seen_covariance(correlation: Correlation, A: csr_array) -> np.ndarray:
    """A C Aᵀ (n, n), in the precision of the correlation, of what the rows of `A` (n, channel * lat * lon) see."""
    waves, nlon = len(correlation.rest), correlation.nlon
    spectra = [_spectrum(A, wave, nlon) for wave in range(waves)]
    counted = np.where(2 * np.arange(waves) % nlon == 0, 1.0, 2.0)
    G = np.concatenate([_parts(M @ E.T) for M, E in zip(spectra, correlation.modes, strict=True)], axis=1)
    weights = (counted[:, None] * (correlation.variance - correlation.rest[:, None])).repeat(2, axis=0)
    rest = hstack([part * np.sqrt(weight) for M, weight in zip(spectra, counted * correlation.rest, strict=True)
                   for part in (M.real, M.imag)], format="csr")
    dtype = correlation.variance.dtype
    seen = (G.astype(dtype) * weights.ravel().astype(dtype)) @ G.astype(dtype).T
    seen += (rest @ rest.T).toarray()
    return seen


def _spectrum(A: csr_array, wave: int, nlon: int) -> csr_array:
    """M_k (n, channel * lat)."""
    row, lon = np.divmod(A.indices, nlon)
    turned = A.data * np.exp(2j * np.pi * wave * lon / nlon) / np.sqrt(nlon)
    spectrum = csr_array((turned, row, A.indptr.copy()), (A.shape[0], A.shape[1] // nlon))  # its own, to be merged
    spectrum.sum_duplicates()
    return spectrum


def _parts(G: np.ndarray) -> np.ndarray:
    """Real and imaginary parts (n, 2 mode) beside each other."""
    return np.concatenate([G.real, G.imag], axis=1)


@dataclass(frozen=True)
class Optimal:
    """The analyses of states (channel, lat, lon) of `shape` that `A` (n, size) sees; `factor` is that of
    α² A C Aᵀ + I."""

    correlation: Correlation
    shape: tuple[int, int, int]
    A: csr_array
    factor: tuple[np.ndarray, bool]
    alpha_squared: float = 1.0

    @classmethod
    def of(cls, correlation: Correlation, shape: tuple[int, int, int], A: csr_array, seen: np.ndarray,
           alpha_squared: float = 1.0) -> "Optimal":
        """`seen` (n, n) is A C Aᵀ."""
        system = alpha_squared * seen.astype(np.float64)
        system[np.diag_indices_from(system)] += 1.0
        factor = cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
        return cls(correlation, shape, A, factor, alpha_squared)

    def analyses(self, departure: np.ndarray) -> np.ndarray:
        """z_a (m, channel, lat, lon) of departures d (m, n), in the precision of the correlation."""
        w = cho_solve(self.factor, departure.T, check_finite=False)
        told = self.alpha_squared * (self.A.T @ w).T.reshape(-1, *self.shape)
        return self.correlation.apply(identity, told.astype(self.correlation.variance.dtype))
