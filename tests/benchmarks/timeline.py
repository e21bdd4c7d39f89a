"""Where the time of an analysis goes, from the start of the launcher to its end.

    python -m tests.benchmarks.timeline                            # 2 ranks, 20 members on 64 x 32 x 7, five rounds
    python -m tests.benchmarks.timeline --beside OTHER_CHECKOUT    # and another version of the code, round by round

Each round runs the program on real processes over a made case with 8320 observations.  Rank 0 notes the clock where
one step ends and the next begins; the phases of the analysis are those of its log.  Told are medians over the rounds in
milliseconds of the clock: other work on the machine counts.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def as_rank(arguments: list[str]) -> None:
    """What each rank does: imports one by one, then the program; rank 0 writes when each ended."""
    stamps = {"launcher, processes, interpreter": time.time()}

    def done(what: str) -> None:
        stamps[what] = time.time()

    import numpy  # noqa: F401

    done("import numpy")
    import msgspec  # noqa: F401

    done("import msgspec")
    import netCDF4  # noqa: F401

    done("import netCDF4")
    import mpi4py.MPI  # noqa: F401  which initialises MPI

    done("import mpi4py.MPI, MPI_Init")
    from letkf_mpi import analysis
    from letkf_mpi.ranks.parallel import World, guarded

    done("import the program's modules and all else")

    def main(world: World, words: list[str]) -> None:
        done("checks of the launcher")
        analysis.main(world, words)
        done("settings, phases, log")
        if world.is_root:
            Path(os.environ["TIMELINE"]).write_text(json.dumps(stamps))

    sys.argv[1:] = arguments
    guarded(main, analysis.PROGRAM)


def one_round(toml: Path, time_of: str, ranks: int, checkout: Path) -> dict[str, float]:
    """Seconds of each step, in order."""
    stamps_file = toml.parent / "stamps.json"
    environment = os.environ | {"PYTHONPATH": str(checkout), "TIMELINE": str(stamps_file), "OPENBLAS_NUM_THREADS": "1"}
    mpiexec = Path(sys.executable).parent / "mpiexec"
    began = time.time()
    job = subprocess.run([mpiexec, "-n", str(ranks), sys.executable, __file__, "--rank", toml, time_of], cwd=checkout,
                         env=environment, capture_output=True, text=True, check=False)
    ended = time.time()
    if job.returncode:
        sys.exit(job.stderr)
    stamps = json.loads(stamps_file.read_text())
    steps = dict(zip(stamps, map(float.__sub__, stamps.values(), [began, *stamps.values()]), strict=False))
    phases = re.findall(r"([a-zA-Z()][a-zA-Z() ]*) ([\d.]+)", job.stderr.rsplit("seconds:", 1)[1])
    found = {name: float(seconds) for name, seconds in phases if name != "all"}
    rest = steps.pop("settings, phases, log") - sum(found.values())
    return steps | {"settings, log": rest} | found | {"MPI_Finalize, exit": ended - max(stamps.values())}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.timeline", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT", help="another version of the code, with its kernel")
    chosen = parser.parse_args()
    from tests.letkf_mpi import case

    checkouts = [CHECKOUT, *([chosen.beside.resolve()] if chosen.beside else [])]
    rounds: dict[Path, list[dict[str, float]]] = {checkout: [] for checkout in checkouts}
    with tempfile.TemporaryDirectory() as folder:
        made = case.make(Path(folder), 20, 32, 64, 8320, levels_hpa=(50, 250, 500, 600, 700, 850, 925))
        for _ in range(chosen.rounds):
            for checkout in checkouts:
                rounds[checkout].append(one_round(made.toml, case.NOW, chosen.ranks, checkout))
                shutil.rmtree(made.files.analysis.folder)
                made.files.departures.unlink()
    medians = [{name: statistics.median(one[name] for one in of_it) for name in of_it[0]} for of_it in rounds.values()]
    print("| step, ms |" + " this |" + " beside |" * (len(checkouts) - 1))
    print("| --- |" + " --- |" * len(checkouts))
    for name in medians[0]:
        print(f"| {name} | " + " | ".join(f"{1e3 * median.get(name, float('nan')):.0f}" for median in medians) + " |")
    totals = [statistics.median(sum(one.values()) for one in of_it) for of_it in rounds.values()]
    print("| all | " + " | ".join(f"{1e3 * total:.0f}" for total in totals) + " |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--rank"]:
        as_rank(sys.argv[2:])
    else:
        main()
