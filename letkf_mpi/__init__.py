"""The analysis: a local ensemble transform Kalman filter over MPI; it reads and writes files of `contracts`."""

from contracts import one_thread

one_thread.for_sums()
