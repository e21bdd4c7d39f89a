"""A limit on the number of local observations of each kind: the nearest are kept.

Where thousands of aircraft reports surround a point, most are redundant and their errors are not independent as R
has it; a limit also bounds the cost of a point (Hamrud, Bonavita & Isaksen 2015, MWR 143, 4847).  Nearest is what has
the largest taper ρ, which weighs horizontal and vertical distance together.
"""

import numpy as np


def nearest(kind: np.ndarray, taper: np.ndarray, limit: int) -> np.ndarray:
    """Mask (p,) of at most `limit` ≥ 1 observations of each `kind` (p,), those of the largest `taper` (p,).

    Of equal ones the first are kept, so that the choice follows from the table alone.
    """
    order = np.lexsort((-taper, kind))  # by kind, then from near to far; stable
    sorted_kind = kind[order]
    starts = np.searchsorted(sorted_kind, sorted_kind)  # where each kind begins
    kept = np.zeros(kind.size, bool)
    kept[order] = np.arange(kind.size) - starts < limit
    return kept
