"""What one analysis gains of its background by the length of localisation, everything before it being the same.

    python -m tests.benchmarks.by_length EXPERIMENT.toml… --times TIME… [--lengths KM…] [--members K]
                                         [--channels NAME…]

Each analysis is made anew from the members, the observations and the inflation that an experiment has kept, at each
length, in a folder of its own that is removed again.  By how many per cent the RMSE of its mean differs from that of
its background, over the globe: the mean of the times, in brackets the least and the largest of them.  Of members it
takes the first K, for both means.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from contracts import config, ensemble, program, state, times
from contracts.errors import UserError
from contracts.paths import EnsembleFolder, ExperimentFolder
from verify.compare import table
from verify.config import Settings

CHECKOUT = Path(__file__).resolve().parents[2]
LENGTHS_KM = (400, 600, 800, 1000, 1400)


def main(arguments: Sequence[str]) -> None:
    parser = program.parser("python -m tests.benchmarks.by_length", __doc__ or "",
                            "python -m tests.benchmarks.by_length run/experiments/league/letkf_600km.toml "
                            "--times 1992022900 1992022912")
    parser.add_argument("experiments", nargs="+", type=Path, metavar="EXPERIMENT.toml")
    parser.add_argument("--times", nargs="+", type=times.parse, required=True, metavar="TIME")
    parser.add_argument("--lengths", nargs="+", type=float, default=LENGTHS_KM, metavar="KM")
    parser.add_argument("--members", type=int, metavar="K", help="the first K of them (default: all)")
    parser.add_argument("--channels", nargs="+", metavar="NAME", help="default: [verify] headline")
    chosen = parser.parse_args(arguments)
    for path in chosen.experiments:
        settings = config.load(path, Settings)
        members = chosen.members or settings.experiment.members
        space = settings.state.space(settings.grid.grid())
        gains = np.array([[gain(path, settings, time, length, members) for time in chosen.times]
                          for length in chosen.lengths])
        names = [channel.name for channel in space.channels]
        rows = [[name, *(f"{all_times.mean():+.1f} ({all_times.min():+.1f} to {all_times.max():+.1f})"
                         for all_times in gains[:, :, names.index(name)])]
                for name in chosen.channels or settings.verify.headline]
        print(f"\n{settings.experiment.name}, {members} members\n")
        print(table(["analysis against background, %", *(f"{length:g} km" for length in chosen.lengths)], rows))


def gain(path: Path, settings: Settings, time: datetime, length_km: float, members: int) -> np.ndarray:
    """(channel,) per cent by which the analysis of `time` differs from its background; raises UserError where the
    members are no longer there or the analysis fails."""
    experiment = settings.experiment
    name = f"by_length_{experiment.name}_{members}_{length_km:g}_{times.name(time)}"
    made = ExperimentFolder(experiment.in_work(name))
    shutil.rmtree(made.folder, ignore_errors=True)
    background = experiment.folder.at(time).background
    ensemble.refuse_missing(background, members, f"the background {times.name(time)}")
    _link(experiment.folder, made, time, time - experiment.step)
    variant = made.folder / "variant.toml"
    variant.write_text(f'base = "{path.resolve()}"\n[experiment]\nname = "{name}"\nmembers = {members}\n'
                       f"[localization]\nhorizontal_km = {length_km}\n")
    done = subprocess.run([sys.executable, "-m", "letkf_mpi.analysis", str(variant), times.name(time)], cwd=CHECKOUT,
                          capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{name}: {done.stderr.strip().splitlines()[-1]}")
    after, before = (_rmse(settings, here, time, members) for here in (made.at(time).analysis, background))
    shutil.rmtree(made.folder)
    return 100 * (after / before - 1)


def _link(kept: ExperimentFolder, made: ExperimentFolder, time: datetime, before: datetime) -> None:
    """What the analysis of `time` begins with: observations, members, and the fields that the one `before` has left."""
    here = made.at(time).folder
    here.mkdir(parents=True)
    made.at(before).folder.mkdir()
    for name in ("background", "observations.nc"):
        (here / name).symlink_to(kept.at(time).folder / name)
    made.static.symlink_to(kept.static)
    for path in kept.at(before).folder.glob("*.nc"):
        (made.at(before).folder / path.name).symlink_to(path)


def _rmse(settings: Settings, folder: EnsembleFolder, time: datetime, members: int) -> np.ndarray:
    """(channel,) of the mean of the first `members`, over the globe."""
    truth = settings.truth(time)
    assert truth is not None
    space = settings.state.space(settings.grid.grid())
    mean, _ = ensemble.moments(ensemble.stored(folder, members, space, time))
    error = mean - state.read(truth, space, time).data.astype(np.float64)
    return np.sqrt((error**2 * space.grid.area_weights).sum(axis=(1, 2)) / space.grid.area_weights.sum())


if __name__ == "__main__":
    program.run(main, "by_length")
