"""MPI program of test_analysis: the analysis with files that teams write however small they are, in small chunks."""

from contracts import created
from letkf_mpi import analysis, products
from letkf_mpi.ranks.parallel import guarded


def always() -> None:
    """From now on, in this process."""
    created._MOST_OF_A_CHUNK = 4 * 6 * 12
    products._WORTH_A_PART = 1


if __name__ == "__main__":
    always()
    guarded(analysis.main, analysis.PROGRAM)
