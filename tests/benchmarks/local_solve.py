"""Microseconds of a local analysis: the compiled kernel beside NumPy's eigendecomposition, and a whole made analysis.

    OPENBLAS_NUM_THREADS=1 python -m tests.benchmarks.local_solve

One thread, processor time, rounds of all contestants in turn, medians.  The kernel solves tiles of 16 columns that all
see the same p observations with tapers of their own, and applies the transform to five channels; the observations stand
at sites of 1, 5 or 26, which share horizontal tapers.  "W" forms the whole matrix instead, of observations that share
none.  The others form A = (k−1) I + Yᵀ(R⁻¹ρ)Y, decompose it and form w̄ and W: NumPy in double precision, one point at
a time or the 16 columns as a batch, and LAPACK's ssyevd in single precision, where SciPy's Cython interface has it.
"""

import ctypes
import time
from collections.abc import Callable

import numpy as np
from scipy.linalg import cython_lapack

from contracts import config
from contracts.grid import Grid
from contracts.state import StateSpace
from contracts.variables import Quantity
from letkf_mpi.config import Settings
from letkf_mpi.kernel import lanes
from letkf_mpi.kernel.lanes import Channels, Lanes, Method, Observations
from letkf_mpi.local import tiles
from letkf_mpi.local.update import LocalAnalysis
from letkf_mpi.solvers import Letkf, LocalProblem
from obsoperator.departures import Used
from tests import builders

SIZES = [(k, p) for k in (20, 40, 80) for p in (50, 200, 1000)]
COLUMNS, LEVELS, CHANNELS, ROUNDS = 16, 4, 5, 9
ROWS_OF_A_SITE = (1, 5, 26)
PRESSURE = (5e3, 25e3, 50e3, 60e3, 70e3, 85e3, 92.5e3)
SETTINGS = builders.experiment(members=20)


def made(k: int, p: int, rows: int = 1) -> tuple[Observations, np.ndarray]:
    """Perturbations and errors of unit variance at sites of so many `rows`; tapers (site, column) between 0 and 1."""
    rng = np.random.default_rng(k * 10_000 + p)
    Y = rng.standard_normal((p, k))
    Y -= Y.mean(axis=1, keepdims=True)
    first = np.append(np.arange(0, p, rows), p)
    table = Observations(Y, rng.standard_normal(p), np.ones(p), np.arange(p), first)
    return table, rng.uniform(0.01, 1.0, (first.size - 1, COLUMNS))


def kernel(k: int, p: int, precision: str, rows: int = 1) -> tuple[Callable[[], object], int]:
    """What to time, and how many local analyses it makes."""
    table, taper = made(k, p, rows)
    channels = LEVELS * CHANNELS
    parts = Channels(np.arange(LEVELS), np.ones((LEVELS, p), bool), np.arange(LEVELS + 1) * CHANNELS,
                     np.arange(channels), np.zeros(channels, int))
    solve = Lanes(table, lambda rows: np.ones((LEVELS, p)), parts, Method(precision, relaxation="rtpp", alpha=0.9))
    X = np.random.default_rng(k).standard_normal((k, channels, COLUMNS)).astype(np.float32)
    beta = np.ones((LEVELS, COLUMNS))
    return lambda: solve.analyse(np.arange(len(taper)), taper, beta, X), LEVELS * COLUMNS


def whole_matrix(k: int, p: int) -> tuple[Callable[[], object], int]:
    table, taper = made(k, p)
    solve = Lanes(table, lambda rows: np.ones((1, p)), Channels.single(p), Method())
    return lambda: solve.weights(taper, np.ones(COLUMNS)), COLUMNS


def per_point(k: int, p: int) -> tuple[Callable[[], object], int]:
    table, taper = made(k, p)
    problems = [LocalProblem(table.Y, table.d, table.variance, rho, 1.0) for rho in np.ascontiguousarray(taper.T)]
    return lambda: [Letkf().solve(problem) for problem in problems], COLUMNS


def batched(k: int, p: int) -> tuple[Callable[[], object], int]:
    table, taper = made(k, p)

    def solve() -> tuple[np.ndarray, np.ndarray]:
        tapered = (taper.T[:, :, None] * table.Y).swapaxes(1, 2)  # (column, k, p)
        values, V = np.linalg.eigh(tapered @ table.Y + (k - 1) * np.eye(k))
        mean = V @ ((V.swapaxes(1, 2) @ (tapered @ table.d)[..., None]) / values[..., None])
        return mean, (V * np.sqrt((k - 1) / values)[:, None]) @ V.swapaxes(1, 2)

    return solve, COLUMNS


def ssyevd(k: int, p: int) -> tuple[Callable[[], object], int]:
    """One point at a time: A as a product of one matrix with itself, of which BLAS computes half."""
    table, taper = made(k, p)
    Y, d = table.Y.astype(np.float32), table.d.astype(np.float32)
    roots, size, decompose = np.sqrt(taper.T).astype(np.float32), np.float32(k - 1), _ssyevd(k)

    def point(root: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        tapered = root[:, None] * Y
        A = tapered.T @ tapered
        A.flat[:: k + 1] += size
        values, V = decompose(A)
        mean = V @ ((V.T @ (tapered.T @ (root * d))) / values)
        return mean, (V * np.sqrt(size / values)) @ V.T

    return lambda: [point(root) for root in roots], COLUMNS


def _ssyevd(k: int) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Eigenvalues, ascending, and eigenvectors of a symmetric (k, k) matrix of float32, which is overwritten."""
    capsule, api = cython_lapack.__pyx_capi__["ssyevd"], ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetPointer.restype = ctypes.c_char_p, ctypes.c_void_p
    api.PyCapsule_GetName.argtypes = [ctypes.py_object]
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    address = api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule))
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 11)(address)
    values, iwork = np.empty(k, np.float32), np.empty(3 + 5 * k, np.intc)
    work = np.empty(1 + 6 * k + 2 * k * k, np.float32)
    job, triangle = ctypes.create_string_buffer(b"V"), ctypes.create_string_buffer(b"L")
    n, lwork, liwork, info = (ctypes.c_int(number) for number in (k, work.size, iwork.size, 0))

    def decompose(A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        call(job, triangle, ctypes.byref(n), A.ctypes.data, ctypes.byref(n), values.ctypes.data, work.ctypes.data,
             ctypes.byref(lwork), iwork.ctypes.data, ctypes.byref(liwork), ctypes.byref(info))
        if info.value:
            raise ArithmeticError(f"ssyevd: info {info.value}")
        return values, A.T  # of LAPACK's columns

    return decompose


def contest(k: int, p: int, rounds: int = ROUNDS) -> dict[str, float]:
    """Median microseconds for each local analysis."""
    contestants = {f"{precision}, {rows}": kernel(k, p, precision, rows) for precision in ("float32", "float64")
                   for rows in ROWS_OF_A_SITE}
    contestants |= {"W": whole_matrix(k, p), "eigh per point": per_point(k, p), "eigh batched": batched(k, p),
                     "ssyevd": ssyevd(k, p)}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, (work, count) in contestants.items():
            work()  # what the one before left in the caches is not its own
            start = time.thread_time()
            work()
            seconds[name].append((time.thread_time() - start) / count)
    return {name: 1e6 * float(np.median(taken)) for name, taken in seconds.items()}


def soundings(count: int, k: int) -> Used:
    """Each of 26 observations: three quantities on seven levels, humidity on the lowest four, surface pressure."""
    rng = np.random.default_rng(0)
    three = (Quantity.u_component_of_wind, Quantity.v_component_of_wind, Quantity.temperature)
    quantity = [q for q in three for _ in PRESSURE] + [Quantity.specific_humidity] * 4 + [Quantity.surface_pressure]
    pressure = [*PRESSURE * 3, *PRESSURE[3:], 1e5]
    each = len(quantity)
    Y = rng.standard_normal((count, 1, k)) + rng.standard_normal((count, each, k))
    Y = (0.7 * (Y - Y.mean(axis=2, keepdims=True))).reshape(-1, k)
    lat, lon = np.rad2deg(np.arcsin(rng.uniform(-1, 1, count))), rng.uniform(0, 360, count)
    return Used(Y, rng.standard_normal(len(Y)), np.ones(len(Y)), np.tile(quantity, count), np.repeat(lat, each),
                np.repeat(lon, each), np.tile(pressure, count))


def whole_analysis(nlat: int, nlon: int, count: int = 416, more: str = "") -> tuple[Callable[[], None], LocalAnalysis]:
    """All tiles of a made case with k = 20, four fields on seven levels and two at the surface."""
    settings = config.decode(SETTINGS + more, Settings, "benchmark")
    on_levels = ("u_component_of_wind", "v_component_of_wind", "temperature", "specific_humidity")
    space = StateSpace.of(Grid.regular(nlat, nlon), PRESSURE, on_levels, ("2m_temperature", "surface_pressure"))
    blocks = tiles.blocks(space.grid, settings.analysis.tile)
    k, used = settings.experiment.members, soundings(count, settings.experiment.members)
    X = np.random.default_rng(1).uniform(1.0, 2.0, (k, len(space.channels), space.grid.size)).astype(np.float32)

    def work() -> None:
        local, first = LocalAnalysis(space, used, settings), 0
        beta = np.ones((local.levels.size, space.grid.size))
        for columns in blocks:
            here = slice(first, first + columns.size)
            local.tile(columns, X[:, :, here], beta[:, columns])
            first = here.stop

    return work, LocalAnalysis(space, used, settings)


def seconds(work: Callable[[], None], rounds: int = ROUNDS) -> float:
    taken = []
    for _ in range(rounds):
        start = time.thread_time()
        work()
        taken.append(time.thread_time() - start)
    return float(np.median(taken))


def main() -> None:
    print(f"{lanes.chosen_instructions()}; microseconds for each local analysis, medians of {ROUNDS} rounds")
    for k, p in SIZES:
        found = contest(k, p)
        if (k, p) == SIZES[0]:
            print(f"| k | p | {' | '.join(found)} |\n" + "| --- " * (2 + len(found)) + "|")
        print(f"| {k} | {p} | " + " | ".join(f"{value:.1f}" for value in found.values()) + " |")
    for nlat, nlon in ((48, 96), (32, 64)):
        print(f"{nlon} x {nlat} x 7, 416 soundings, 10816 observations: {seconds(whole_analysis(nlat, nlon)[0]):.3f} s")


if __name__ == "__main__":
    main()
