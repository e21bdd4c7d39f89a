"""How much memory an analysis takes: told before it is allocated, refused where it is more than allowed.

For k members of C channels on n columns, p observations and s slots, in single precision (4 bytes) for states:

    the program itself; the background and the analysis, 2 . 4 k C n, and k C n more for each slot and earlier analysis
    (twice for a slot to which a model of its own carries the analysis);
    H(x) before, after and at the ground, 3 . 8 k p; of each observation its row and its entries in H; the draws, 8 k p;
    what the method says of itself (`Method.memory`)
"""

import logging
import resource

from contracts.errors import UserError
from contracts.state import StateSpace
from neural_da.config import Settings
from neural_da.method import Method

log = logging.getLogger("neural_da.analysis")
_PROGRAM = 350e6  # bytes: Python with NumPy, h5py and torch, 306e6 with one product and one file, and some room
_ROW, _ENTRIES = 220, 8 * (8 + 8) * 2  # bytes of an observation in the table, and in H, in NumPy and on tensors
_GB = 1e9


def expect(settings: Settings, space: StateSpace, method: Method, nobs: int) -> None:
    """Tell what the analysis of `nobs` observations will need; raises UserError where that is more than allowed."""
    needed, limit = estimate(settings, space, method, nobs), settings.neural.memory_gb
    log.info("memory: about %.2f GB", needed / _GB)
    if limit is not None and needed > limit * _GB:
        raise UserError(f"the analysis needs about {needed / _GB:.2f} GB, [neural] memory_gb allows {limit:g}; take a "
                        "larger computer, fewer threads or members, or allow more")


def estimate(settings: Settings, space: StateSpace, method: Method, nobs: int) -> float:
    """Bytes at the peak."""
    k, state = settings.experiment.members, 4.0 * len(space.channels) * space.grid.size
    needs = settings.neural.needs
    slots = len(settings.slots.around) if needs.slots and settings.slots else 0
    ensembles = 2 + (2 if needs.model else 1) * slots + needs.earlier_analyses  # the analysis is carried there too
    return (_PROGRAM + ensembles * k * state + len(needs.lagged_forecasts) * state
            + nobs * (4 * 8.0 * k + _ROW + _ENTRIES) + method.memory(nobs))


def peak_line() -> str:
    """For the log: the most that this process held since it began."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in kB
    return f"peak memory since the program began: {peak / _GB:.2f} GB"
