"""How much memory a fit takes: told before a state is read, refused where it is more than allowed.

For N states of C channels on nlat x nlon points, R = C nlat rows, K = nlon / 2 + 1 wavenumbers and m modes of each:

    the program itself;  the states, 4 N C nlat nlon;  their spectra, 8 N R K
    covariances of the halves of up to five neighbouring wavenumbers, and of one more in the making, 2 . 6 . 8 R²;
    two pooled ones, and three of that size while modes are sought, 5 . 8 R²
    the modes, 2 . 8 K m R, in pieces and together
"""

from contracts.errors import UserError
from contracts.state import StateSpace

_PROGRAM = 150e6  # bytes: Python with NumPy, SciPy and h5py, 75e6 with one file written and read, and some room
_COVARIANCES = 2 * 6 + 5  # of rows x rows, complex64, at the same time
_GB = 1e9


def estimate(space: StateSpace, states: int, modes: int) -> float:
    """Bytes at the peak of a fit, without the program itself."""
    channels, nlat, nlon = space.shape
    rows, waves = channels * nlat, nlon // 2 + 1
    fitted = 4.0 * states * rows * nlon + 8.0 * states * rows * waves
    return fitted + _COVARIANCES * 8.0 * rows**2 + 2 * 8.0 * waves * min(modes, rows) * rows


def expect(space: StateSpace, states: int, modes: int, limit_gb: float | None) -> str:
    """A line for the log; raises UserError where more is needed than `limit_gb` allows."""
    needed = (_PROGRAM + estimate(space, states, modes)) / _GB
    if limit_gb is not None and needed > limit_gb:
        raise UserError(f"the fit of {states} states needs about {needed:.2f} GB, [climate] memory_gb allows "
                        f"{limit_gb:g}; take fewer states (every_hours) or modes, a larger computer, or allow more")
    return f"memory: about {needed:.2f} GB"
