"""The analysis: a local ensemble transform Kalman filter over MPI; it reads and writes files of `contracts`."""

import os

# One thread for each rank, set before NumPy is loaded: ranks fill the cores, and the order of a sum that BLAS shares
# among threads depends on their number, which would show in the bits.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
