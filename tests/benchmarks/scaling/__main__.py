"""How long an analysis takes, and how much memory, on 1 to 1024 ranks: a model fed with measured figures.

    python -m tests.benchmarks.scaling OBSERVATIONS.nc            # 0.25 degrees, 80 members, 10^6 observations
    python -m tests.benchmarks.scaling OBSERVATIONS.nc --check 2 8 32     # real runs of a smaller case beside the model

What is measured here and now: the local analysis of a sample of tiles as they are, H(x) and fates of rows, what is made
of all observations by shares of a node and by each rank, what rank 0 does alone, reading and writing a member and a
part of one, the exchange between two ranks, and what a rank among 1024 does for each of the others, however little it
carries (`exchanging.Alone`).  Tiles have their real costs: the positions are those of a real table, repeated and
shifted by half a degree until they are as many as asked for.  The makespan of the local analyses follows from giving
those tiles to ranks as the program does.

Seconds are those of the processor, so that other work on this machine counts little; waiting for a disk is not in them.
What is assumed: a core for each rank, memory bandwidth for each as for two here, and a file system that all ranks
together read and write at `--filesystem` GB/s at most.  Beside every efficiency stands what reading and writing at that
rate permit at all: where nothing else takes time but the work of one rank shared out, and, the higher one, where all
that goes on meanwhile.
"""

import argparse
import json
import pickle
import sys
import tempfile
from pathlib import Path

from contracts import observations
from letkf_mpi.ranks.parallel import guarded
from tests.benchmarks.scaling.costs import Costs, measure
from tests.benchmarks.scaling.exchanging import exchange
from tests.benchmarks.scaling.files import cold
from tests.benchmarks.scaling.model import table_of
from tests.benchmarks.scaling.problem import LEVELS_HPA, Problem, repeated, settings_of
from tests.benchmarks.scaling.real_runs import check


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scaling", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("observations", type=Path, help="observations.nc of obsproc, such as that of 1989-01-01 12 UTC")
    parser.add_argument("--nobs", type=float, default=1e6, help="observations assimilated (default: 1e6)")
    parser.add_argument("--members", type=int, default=80)
    parser.add_argument("--horizontal-km", type=float, default=200.0, help="localisation length (default: 200)")
    parser.add_argument("--filesystem", type=float, nargs="+", default=[10.0, 50.0], help="GB/s of all ranks together")
    parser.add_argument("--check", type=int, nargs="+", metavar="RANKS", help="real runs on so many ranks instead")
    chosen = parser.parse_args()
    if chosen.check:
        with tempfile.TemporaryDirectory() as folder:
            check(Path(folder), chosen.check, min(chosen.members, 20))
        return
    table, _ = observations.read(chosen.observations)
    settings = settings_of("nlat = 721\nnlon = 1440\npoles = true", chosen.members, chosen.horizontal_km, LEVELS_HPA)
    problem = Problem(settings, repeated(table, int(chosen.nobs)))
    costs = measure(problem)
    named = {name: getattr(costs, name) for name in Costs.__dataclass_fields__ if name != "tiles"}
    print(", ".join(f"{name} {value:.3g}" for name, value in named.items()))
    print(f"all tiles one after the other: {costs.tiles.sum():.0f} s")
    for filesystem in chosen.filesystem:
        print(f"\nfile system of {filesystem:g} GB/s")
        print("\n".join(table_of(problem, costs, 1e9 * filesystem)))


if __name__ == "__main__":
    if sys.argv[1:] == ["--exchange"]:
        guarded(exchange, "scaling")
    elif sys.argv[1:2] == ["--cold"]:
        print(json.dumps(cold(pickle.loads(Path(sys.argv[2]).read_bytes()))))
    else:
        main()
