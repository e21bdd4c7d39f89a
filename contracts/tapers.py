"""The function of distance that localises a covariance, for all analyses that do: 1 at no distance, nothing far away.

    h(r) = the fifth-order piecewise rational function of Gaspari & Cohn (1999, QJRMS 125, 723, Eq. 4.10) of half-width
           √(10/3) r-units, which has the curvature of exp(−r²/2) at r = 0                       r = distance / L
"""

import numpy as np

HALF_WIDTH = np.sqrt(10.0 / 3.0)
CUTOFF = 2.0 * HALF_WIDTH  # in units of L


def gaspari_cohn(r: np.ndarray) -> np.ndarray:
    """Gaspari & Cohn (1999), Eq. 4.10; `r` = distance / L, any shape."""
    z = np.asarray(r) / HALF_WIDTH
    near = 1.0 + z * z * (-5.0 / 3.0 + z * (5.0 / 8.0 + z * (0.5 - 0.25 * z)))
    beyond = np.maximum(z, 1.0)  # keeps 1/z finite where the near branch is taken
    powers = beyond * (-5.0 + beyond * (5.0 / 3.0 + beyond * (5.0 / 8.0 + beyond * (-0.5 + beyond / 12.0))))
    far = 4.0 - 2.0 / (3.0 * beyond) + powers
    return np.where(z <= 1.0, near, np.where(z < 2.0, np.maximum(far, 0.0), 0.0))
