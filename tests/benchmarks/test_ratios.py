"""What `make bench` ends with: ratios to peers, and which got slower than noise."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import ratios
from tests.benchmarks.local_solve import LEVELS
from tests.benchmarks.ratios import Ratio


def run(**medians: float) -> list[dict]:
    names = {"ours": "test_one_thread[compiled-a.b]", "theirs": "test_beside_earth2bufr[a.b]",
             "kernel": "test_kernel[20-200-float32]", "eigh": "test_eigendecomposition[per_point-20-200]"}
    return [{"name": names[name], "stats": {"median": median, "iqr": 0.0135 * median}}
            for name, median in medians.items()]


def test_a_ratio_is_of_the_peer_of_the_same_case():
    found = ratios.ratios(run(ours=2.0, theirs=4.0, kernel=1.0, eigh=50.0))
    assert {name: ratio.value for name, ratio in found.items()} == {
        "test_one_thread[compiled-a.b] / earth2bufr": 0.5,
        "test_kernel[20-200-float32] / eigh, point by point": 0.02 / LEVELS}
    assert found["test_one_thread[compiled-a.b] / earth2bufr"].scatter == pytest.approx(0.01 * 2**0.5)
    assert ratios.ratios(run(ours=2.0, kernel=1.0)) == {}


@pytest.mark.parametrize(("value", "slower"), [(1.0, False), (1.05, False), (1.07, True), (0.5, False)])
def test_slower_than_noise_is_said(value, slower):
    (line,) = ratios.lines({"x / y": Ratio(value, 0.01)}, {"x / y": [1.0, 0.02]})  # three times 2.2 per cent
    assert ("SLOWER" in line) == slower and "before        1" in line


def test_what_was_not_kept_is_only_told():
    (line,) = ratios.lines({"x / y": Ratio(0.123, 0.01)}, {})
    assert line.split() == ["x", "/", "y", "0.123"]


def test_every_peer_names_benchmarks_that_are_there():
    """The patterns against the names that pytest gives them."""
    here = Path(__file__).parent
    done = subprocess.run([sys.executable, "-m", "pytest", "--collect-only", "-q", "--benchmark-enable", str(here)],
                          capture_output=True, text=True, cwd=here.parents[1])
    names = {line.partition("::")[2] for line in done.stdout.splitlines() if "::" in line}
    stats = [{"name": name, "stats": {"median": 1.0, "iqr": 0.1}} for name in names]
    called = {name.rpartition(" / ")[2] for name in ratios.ratios(stats)}
    assert called == {called for _, _, called, _ in ratios.PEERS}
