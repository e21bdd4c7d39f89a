"""What hundreds of members cost on their way through files, in a file each and in one file for all.

    WORK=… python -m tests.benchmarks.members --counts 20 80 320 1000

Each number of members and layout in a process of its own: the first ensemble from a nature run, a forecast by
persistence (what it reads and writes), an analysis' reading and writing on one rank, the scores of one ensemble;
processor seconds of each, the most memory of the process, files and bytes of one ensemble.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from contracts import config, ensemble, paths
from contracts.analysis import Writer
from contracts.paths import EnsembleFolder
from model_server import config as model_config
from model_server.backgrounds import write_background
from model_server.chosen import model_of
from model_server.initial import initial
from verify import ensembles, scores
from verify.config import Settings

NATURE = "nature_t31_1987"
TEXT = f"""
[experiment]
name = "members_{{count}}_{{where}}"
start = 1992-01-01T00:00:00Z
end = 1992-01-01T06:00:00Z
members = {{count}}
members_in = "{{where}}"
[nature]
folder = "{NATURE}"
[initial]
folder = "{NATURE}"
first = 1990-01-01T00:00:00Z
every_hours = 6
[model]
name = "persistence"
batch = 20
[state]
at_surface = ["2m_temperature", "10m_u_component_of_wind", "10m_v_component_of_wind"]
[verify]
truth = "{NATURE}/%Y%m%d%H.nc"
"""
LAYOUTS = ("files", "one_file")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[20, 80])
    parser.add_argument("--one", nargs=3, metavar=("COUNT", "LAYOUT", "FOLDER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measured(int(given.one[0]), given.one[1], Path(given.one[2]))))
        return
    for count in given.counts:
        for where in LAYOUTS:
            words = [sys.executable, "-m", "tests.benchmarks.members", "--one", str(count), where, "."]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            print("|", count, "|", where, "|", " | ".join(f"{value:g}" for value in found.values()), "|", flush=True)


def measured(count: int, where: str, folder: Path) -> dict[str, float]:
    """By name processor seconds of each step, MiB, files and MB."""
    path = folder / f"members_{count}_{where}.toml"
    path.write_text(TEXT.format(count=count, where=where))
    settings = model_config.load(path)
    experiment, start, found = settings.experiment, settings.experiment.times()[0], {}
    here, space = experiment.folder.at(start), settings.space

    def timed(name: str, step: Callable) -> object:
        began = time.process_time()
        result = step()
        found[name] = round(time.process_time() - began, 2)
        return result

    timed("first ensemble", lambda: initial(settings))
    X = timed("analysis reads", lambda: ensemble.read_members(here.background, range(count), space, start))
    timed("analysis writes", partial(write, Writer(here, space, start, experiment.name, experiment.one_file_of), X))
    del X
    model = model_of(settings)
    timed("forecast", lambda: write_background(settings, model, start))
    timed("scores", lambda: score(config.load(path, Settings), here.analysis))
    files = [each for each in here.analysis.folder.rglob("*.nc") if each.is_file()]
    return found | {"MiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
                    "files": len(files), "MB": round(sum(each.stat().st_size for each in files) / 1e6, 1)}


def write(out: Writer, X: object) -> None:
    """Members, mean and spread."""
    with paths.side_by_side() as disk:
        out.members(X, range(len(X)), disk)
    out.settle()
    found = ensemble.stored(out.files.analysis, len(X), out.space, out.time)
    ensemble.write_statistics(out.files.analysis, found, out.space, out.time, out.experiment)


def score(settings: Settings, analysis: EnsembleFolder) -> None:
    time_, space = settings.experiment.times()[0], settings.state.space(settings.grid.grid())
    weights = scores.region_weights(space.grid, settings.verify.regions)
    ensembles.score(analysis, settings.experiment.members, settings.truth(time_), space, time_, weights,
                    settings.verify.memory_gib)


if __name__ == "__main__":
    main()
