"""`python -m tests.benchmarks.ratios build/bench.json [--keep]`: our times beside those of named peers of the same run.

`make bench` ends with it: each ratio, how much of our time the work needs at the least (`floors.py`), the ratio kept
in `ratios.toml` for this instruction set, and a word where ours got slower by more than noise.  Ratios of one run
survive a busy machine and another processor better than seconds do.  Noise is three times the scatter of the ratio,
from the quartiles of both contestants' rounds here and then.  `--keep` keeps these.  It never passes or fails.
"""

import argparse
import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from letkf_mpi.kernel import lanes
from tests.benchmarks import floors
from tests.benchmarks.local_solve import LEVELS

KEPT = Path(__file__).with_name("ratios.toml")
NOISE = 3.0
# Our benchmark, as a pattern of its name, its peer's with the same groups, what the peer is called, and how many times
# the peer's work ours does.
PEERS = (
    (r"test_one_thread\[compiled-(.+)\]", r"test_beside_earth2bufr[\1]", "earth2bufr", 1),
    (r"test_one_thread\[compiled-(.+)\]", r"test_beside_nceplibs[\1]", "NCEPLIBS-bufr", 1),
    (r"test_one_thread\[compiled-(.+)\]", r"test_one_thread[numpy-\1]", "its NumPy definition", 1),
    (r"test_beside_pybufrkit\[compiled-(.+)\]", r"test_beside_pybufrkit[pybufrkit-\1]", "pybufrkit", 1),
    (r"test_whole_process\[ours-(.+)\]", r"test_whole_process[earth2bufr-\1]", "earth2bufr", 1),
    (r"test_kernel\[(\d+-\d+)-\d+-float32\]", r"test_eigendecomposition[ssyevd-\1]", "LAPACK's ssyevd", LEVELS),
    (r"test_kernel\[(\d+-\d+)-\d+-float64\]", r"test_eigendecomposition[batched-\1]", "NumPy's eigh", LEVELS),
    (r"test_collapsed", r"test_plain", "ClimaX by its definition", 1),
    (r"test_by_onnxruntime", r"test_plain", "ClimaX by its definition", 1),
    (r"test_by_onnxruntime", r"test_collapsed", "the same by PyTorch", 1),
    (r"test_one_member", r"test_plain_sparse_product", "SciPy's sparse product", 1),
    (r"test_many_members", r"test_plain_sparse_product_of_many", "SciPy's sparse product", 1),
)


@dataclass(frozen=True)
class Ratio:
    """Of medians for the same work, ours over the peer's, and its relative `scatter`."""

    value: float
    scatter: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.ratios", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="BENCH.json", help="of pytest --benchmark-json")
    parser.add_argument("--keep", action="store_true", help="write the table anew")
    chosen = parser.parse_args()
    run = json.loads(chosen.run.read_text())["benchmarks"]
    found = ratios(run)
    name = lanes.chosen_instructions() if lanes.compiled() else "none"
    kept = tomllib.loads(KEPT.read_text()) if KEPT.exists() else {}
    print(f"{name}: our time over the peer's, of one run; in per cent of our time what the work needs at the least")
    for line in lines(found, kept.get(name, {}), floors.shares(run)):
        print(line)
    if chosen.keep:
        table = {words: [round(ratio.value, 5), round(ratio.scatter, 4)] for words, ratio in found.items()}
        KEPT.write_text(tomli_w.dumps(kept | {name: table}))


def ratios(run: Sequence[dict[str, Any]]) -> dict[str, Ratio]:
    """By "benchmark / peer", of those that have run with their peers."""
    by_name = {each["name"]: each["stats"] for each in run}
    found = {}
    for name, ours in by_name.items():
        for pattern, peer, called, times in PEERS:
            match = re.fullmatch(pattern, name)
            if match and (theirs := by_name.get(match.expand(peer))):
                scatter = (_spread(ours) ** 2 + _spread(theirs) ** 2) ** 0.5
                found[f"{name} / {called}"] = Ratio(ours["median"] / times / theirs["median"], scatter)
    return found


def _spread(stats: dict[str, float]) -> float:
    """Relative standard deviation of a round, from its quartiles (of a normal distribution they are 1.35 apart)."""
    return stats["iqr"] / 1.35 / stats["median"]


def lines(found: dict[str, Ratio], kept: dict[str, Sequence[float]], shares: dict[str, float]) -> Iterator[str]:
    """One for each ratio; the slower ones say so."""
    width = max(map(len, found), default=0)
    for words, ratio in found.items():
        before = Ratio(*kept[words]) if words in kept else None
        share = shares.get(words.rpartition(" / ")[0])
        told = f"{words:{width}}  {ratio.value:8.3g}  {'' if share is None else f'{share:.1%}':>6}"
        if before:
            told += f"  before {before.value:8.3g}"
            noise = NOISE * (ratio.scatter**2 + before.scatter**2) ** 0.5
            if ratio.value > before.value * (1 + noise):
                told += f"  SLOWER: {ratio.value / before.value:.2f} times, noise is {noise:.0%}"
        yield told


if __name__ == "__main__":
    main()
