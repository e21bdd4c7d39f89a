"""How much memory an analysis takes: told before it is allocated, refused where it is more than allowed.

For k members, n columns, C channels on L levels, p observations and P ranks, in single precision (4 bytes) for states:

    every rank     the program itself;  its members, k/P of 4 C n, and in the end those that it writes whole, ⌈k/P⌉,
                   with mean, spread and fields beside, or of many ranks its part of a file;  its columns 4 k C n/P;
                   three buffers of the exchange;  what is told of its columns (`update.Diagnostics`);  of its rows,
                   p/P, eight entries and weights of H, the numbers that they read of all members, of some of them
                   twice, and what comes of them;
                   of each observation its taper on every level, twice 8 L p
    rank 0 too     the table of departures
    once a node    observations, Y (p, k) and inflation

The analysis of a tile overwrites its background, so that columns are held once.  A static set of m states stands
beside: on every rank its states 4 C n m/P and X_s at its columns, 8 m C n/P after 4 m C n/P; Y_s, 8 m p/P, and on
a node 8 m p.  So does noise, 4 k p.  Tempering keeps the first background beside, 4 k C n/P, and a second Y, 8 k p;
H(x) at slots takes the members of a rank and what H needs twice.
"""

import resource
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from contracts.errors import UserError
from letkf_mpi.local.update import Diagnostics
from obsoperator.forward import TOGETHER

_PROGRAM = 110e6  # bytes: Python with NumPy, h5py and MPI, 77e6 with one file written and read, and some room
_ROW = 220  # bytes of an observation in the table and in what the analysis sees of it, without Y
_ENTRIES = 8 * (8 + 8)  # bytes of an observation's entries and weights in H
_LOCAL = 100  # bytes of an observation in the local analyses of a rank, without its tapers on the levels
_GB = 1e9


@dataclass(frozen=True)
class Size:
    """What decides the memory of an analysis."""

    members: int
    channels: int
    columns: int
    levels: int
    observations: int
    ranks: int
    ranks_on_node: int
    group_bytes: int  # of one exchange
    static: int = 0  # states of the static set
    noise: bool = False  # whether each observation has draws
    tempered: bool = False
    slots: bool = False

    @property
    def state(self) -> float:
        """Bytes of one member."""
        return 4.0 * self.channels * self.columns

    @property
    def ensemble(self) -> float:
        """Bytes of all members."""
        return self.members * self.state

    @property
    def static_set(self) -> float:
        """Bytes of the states of the static set on a rank, by member and at its columns, in single and double
        precision."""
        return self.state * 4.0 * self.static / self.ranks

    @property
    def read(self) -> float:
        """Bytes of the members, or their parts, on a rank."""
        members = self.members / self.ranks
        return self.state * (members if members < 1 else ceil(members))

    @property
    def written(self) -> float:
        """Bytes of what a rank writes at most: members, and a share of mean, spread and fields by level, or a part of
        one of these."""
        others = 2 + len(Diagnostics.BY_LEVEL)
        if self.ranks > self.members + others:
            return self.state / ((self.ranks - 1) // (self.members + others))
        beside = 2 * self.state + 8.0 * len(Diagnostics.BY_LEVEL) * self.levels * self.columns
        return self.state * -(-self.members // self.ranks) + beside / min(self.ranks, others)


@dataclass(frozen=True)
class Estimate:
    """Bytes at the peak: of every rank, of rank 0 besides, and once on each node."""

    each: float
    first: float
    shared: float
    ranks_on_node: int

    @property
    def node(self) -> float:
        """Of a full node that rank 0 stands on."""
        return self.ranks_on_node * self.each + self.first + self.shared

    def __str__(self) -> str:
        return (f"memory: about {self.each / _GB:.2f} GB on each rank, {self.first / _GB:.2f} GB more on rank 0, "
                f"{self.shared / _GB:.2f} GB once a node: "
                f"{self.node / _GB:.2f} GB on a node of {self.ranks_on_node}")

    def refuse_above(self, limit_gb: float | None) -> None:
        """Raises UserError where a node would need more than `limit_gb`."""
        if limit_gb is not None and self.node > limit_gb * _GB:
            raise UserError(f"the analysis needs about {self.node / _GB:.2f} GB on a node of {self.ranks_on_node} "
                            f"rank(s), [analysis] memory_gb allows {limit_gb:g}; take more nodes with fewer ranks on "
                            "each, or allow more")


def estimate(size: Size) -> Estimate:
    """Memory of the analysis of this size."""
    told = float(Diagnostics.bytes_of(size.channels, size.levels)) * size.columns / size.ranks
    rows, equivalents = size.observations / size.ranks, 8.0 * size.observations
    beside = equivalents * size.static + size.noise * 4.0 * size.observations * size.members
    columns, exchange = size.ensemble / size.ranks, 3.0 * min(size.group_bytes, size.ensemble / size.ranks)
    columns *= 1 + size.tempered
    read_by_row = min(8.0 * 4, size.state / max(1.0, rows))  # bytes of a member
    operator = rows * (_ENTRIES + size.members * (3 * 8 + read_by_row) + min(size.members, TOGETHER) * read_by_row)
    compared = (1 + size.slots) * (size.read + operator) + beside / size.ranks
    local = size.observations * (_LOCAL + 2 * 8.0 * size.levels) + told
    each = _PROGRAM + max(compared, size.written) + size.static_set + columns + max(exchange, local)
    shared = (1 + size.tempered) * (size.observations * _ROW + equivalents * size.members)
    shared += beside + 8.0 * size.levels * size.columns
    return Estimate(each, 2.0 * size.observations * _ROW, shared, size.ranks_on_node)


def peak() -> float:
    """Bytes that this process held at most since it began, shared memory that it touched included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0  # Linux counts in kB


def peak_line(peaks: Sequence[float]) -> str:
    """For the log, from the peak of each rank."""
    others = f", at most {max(peaks[1:]) / _GB:.2f} GB on the others" if len(peaks) > 1 else ""
    return f"peak memory since the program began: {peaks[0] / _GB:.2f} GB on rank 0{others}"
