"""What `make bench` ends with: ratios to peers, and which got slower than noise."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from obsproc.bufr.files import read_file
from tests.benchmarks import floors, ratios
from tests.benchmarks.local_solve import COLUMNS, LEVELS
from tests.benchmarks.ratios import Ratio


def run(**medians: float) -> list[dict]:
    names = {"ours": "test_one_thread[compiled-a.b]", "theirs": "test_beside_earth2bufr[a.b]",
             "kernel": "test_kernel[20-200-5-float32]", "eigh": "test_eigendecomposition[ssyevd-20-200]"}
    return [{"name": names[name], "stats": {"median": median, "iqr": 0.0135 * median}}
            for name, median in medians.items()]


def test_a_ratio_is_of_the_peer_of_the_same_case():
    found = ratios.ratios(run(ours=2.0, theirs=4.0, kernel=1.0, eigh=50.0))
    assert {name: ratio.value for name, ratio in found.items()} == {
        "test_one_thread[compiled-a.b] / earth2bufr": 0.5,
        "test_kernel[20-200-5-float32] / LAPACK's ssyevd": 0.02 / LEVELS}
    assert found["test_one_thread[compiled-a.b] / earth2bufr"].scatter == pytest.approx(0.01 * 2**0.5)
    assert ratios.ratios(run(ours=2.0, kernel=1.0)) == {}


@pytest.mark.parametrize(("value", "slower"), [(1.0, False), (1.05, False), (1.07, True), (0.5, False)])
def test_slower_than_noise_is_said(value, slower):
    (line,) = ratios.lines({"x / y": Ratio(value, 0.01)}, {"x / y": [1.0, 0.02]}, {})  # three times 2.2 per cent
    assert ("SLOWER" in line) == slower and "before        1" in line


def test_what_was_not_kept_is_only_told():
    (line,) = ratios.lines({"x / y": Ratio(0.123, 0.01)}, {}, {})
    assert line.split() == ["x", "/", "y", "0.123"]
    (line,) = ratios.lines({"x / y": Ratio(0.123, 0.01)}, {}, {"x": 0.25, "y": 0.5})
    assert line.split() == ["x", "/", "y", "0.123", "25.0%"]


def test_the_share_of_the_floor_is_of_what_this_core_was_seen_to_do():
    """At its best 100 operations in 2 s: 30 of them in a median of 3 s are a fifth of it."""
    stats = {"min": 2.0, "median": 3.0}
    run = [{"name": "test_x", "stats": stats, "extra_info": {"float32 flops": 30, "MB/s": 1}},
           {"name": "test_no_peak", "stats": stats, "extra_info": {"float64 flops": 30}},
           {"name": "test_peak[float32 flops]", "stats": stats, "extra_info": {"float32 flops": 100}}]
    assert floors.shares(run) == pytest.approx({"test_x": 0.2, "test_peak[float32 flops]": 2 / 3})


@pytest.mark.parametrize(("p", "rows"), [(4, 1), (4, 2), (5, 2)])
def test_flops_of_a_solve_are_those_of_its_loops(p, rows):
    """A and Cholesky's factor of it, number by number."""
    k, sites, multiplied = 9, -(-p // rows), 0
    for i in range(k):
        for _ in range(i + 1):
            multiplied += sites * COLUMNS + (p if rows > 1 else 0)
    assert floors.flops_of_solves(k, p, rows) == LEVELS * (2 * multiplied + COLUMNS * k**3 // 3)


def test_bytes_of_a_file_are_those_of_all_its_tables(samples):
    """Beside pickle, which writes every number once and little else."""
    file = read_file(samples / "prepbufr/fixtures/gdas2020110112_adpupa_3msg.prepbufr")
    kept = len(pickle.dumps(file.reports, protocol=5))
    found = floors.bytes_of_file(file) - file.path.stat().st_size
    assert 0.8 * kept < found <= kept


def test_every_peer_names_benchmarks_that_are_there():
    """The patterns against the names that pytest gives them."""
    here = Path(__file__).parent
    done = subprocess.run([sys.executable, "-m", "pytest", "--collect-only", "-q", "--benchmark-enable", str(here)],
                          capture_output=True, text=True, cwd=here.parents[1])
    names = {line.partition("::")[2] for line in done.stdout.splitlines() if "::" in line}
    stats = [{"name": name, "stats": {"median": 1.0, "iqr": 0.1}} for name in names]
    called = {name.rpartition(" / ")[2] for name in ratios.ratios(stats)}
    assert called == {called for _, _, called, _ in ratios.PEERS}
