"""`python -m letkf_mpi`: the analysis, as `python -m letkf_mpi.analysis`, which is what a launcher is given."""

import runpy

if __name__ == "__main__":
    runpy.run_module("letkf_mpi.analysis", run_name="__main__", alter_sys=True)
