"""One thread for each process, set before NumPy is loaded: what fills the cores are processes, or threads of our own.

The order of a sum that BLAS shares among threads depends on their number, which would show in the bits.
"""

import os

NAMES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def for_sums() -> None:
    """Whatever the environment said; it counts where NumPy and torch are loaded later."""
    os.environ.update(dict.fromkeys(NAMES, "1"))
