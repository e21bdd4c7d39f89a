"""Where the processor seconds of a cycle go, and what of them is containment: the four stages as services do them.

    run/prepare.sh EXPERIMENT.toml
    python -m tests.benchmarks.cycle EXPERIMENT.toml [--rounds 5]

All stages of all times of the experiment by one process, as warm as services are, one rank; each time by turns with
containment and without: files of ours opened without a look into them, files of others read in this process.  Products
of the experiment's times are removed before each.  Milliseconds of processor time of a cycle, of all threads and of the
nursery and its children (to 10 ms there), medians over times and rounds.
"""

import logging
import os
import shutil
import time as clock
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

from h5py import h5d, h5g, h5o

from contracts import config, guarded, hdf5, hdf5_objects, program
from contracts.paths import ExperimentFolder
from letkf_mpi.analysis import Analyst
from letkf_mpi.config import Settings as Analysed
from letkf_mpi.ranks.parallel import World
from model_server import backgrounds
from model_server import config as served
from model_server.chosen import model_of
from obsproc import stage
from obsproc.config import Settings as Observed
from verify import __main__ as verify
from verify.config import Settings as Verified

Stages = dict[str, Callable[[datetime], object]]


def main(arguments: Sequence[str]) -> None:
    parser = program.parser("python -m tests.benchmarks.cycle", __doc__ or "",
                            "python -m tests.benchmarks.cycle run/experiments/prepbufr_1989_climax.toml")
    program.add_experiment(parser)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args(arguments)
    logging.getLogger().setLevel(logging.WARNING)
    experiment = config.load(chosen.experiment, Analysed).experiment
    stages, times = stages_of(chosen.experiment), experiment.times()
    for time in times:  # the first of all is not counted: caches are empty and libraries not loaded
        run(stages, experiment.folder, time, time + experiment.step)
    found: dict[str, dict[str, list[float]]] = {"contained": defaultdict(list), "not": defaultdict(list)}
    for number in range(chosen.rounds):
        for place, time in enumerate(times):
            for how in sorted(found, reverse=(number + place) % 2 == 1):
                with uncontained() if how == "not" else nullcontext():
                    for name, value in run(stages, experiment.folder, time, time + experiment.step).items():
                        found[how][name].append(value)
    print(text(found))


def stages_of(file: Path) -> Stages:
    """What each service does with a time, once it has loaded what it keeps."""
    analyst, forecast = Analyst(World(), config.load(file, Analysed)), served.load(file)
    observed, verified, model = config.load(file, Observed), config.load(file, Verified), model_of(forecast)
    return {"observations": lambda time: stage.make_one(observed, time, None),
            "analysis": analyst.at,
            "forecast": lambda time: backgrounds.write_background(forecast, model, time),
            "verify": lambda time: verify.write_scores(verified, time)}


def run(stages: Stages, folder: ExperimentFolder, time: datetime, following: datetime) -> dict[str, float]:
    """Milliseconds of processor time of each stage, and of all by the clock."""
    for path in folder.at(time).folder.iterdir():
        if path.name != "background":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(folder.at(following).background.folder, ignore_errors=True)
    found, began = {}, clock.monotonic()
    for name, do in stages.items():
        hdf5._look_at.cache_clear()  # services do not know what others have looked at
        before = _seconds()
        do(time)
        found[name] = 1000 * (_seconds() - before)
    return found | {"all": sum(found.values()), "by the clock": 1000 * (clock.monotonic() - began)}


def _seconds() -> float:
    """Of this process, the nursery and the children that it has waited for."""
    nursery = guarded._NURSERY.process
    if nursery is None:
        return clock.process_time()
    words = Path(f"/proc/{nursery.pid}/stat").read_text().rpartition(")")[2].split()
    return clock.process_time() + sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def uncontained() -> Iterator[None]:
    """No look into a file, and nobody's file in a process of its own."""

    def opened(path: Path, root: h5g.GroupID, size: int, plain: bool = False) -> Iterator[hdf5_objects.Array]:
        for name in root:
            if isinstance(item := h5o.open(root, name), h5d.DatasetID):
                yield f"/{name.decode()}", item, item.shape, item.get_type()

    def read(reader: Callable[..., Any], path: Path, *arguments: Any, limits: object = None, warm_up: object = None,
             **named: Any) -> Any:
        return reader(path, *arguments, **named)

    with mock.patch.object(hdf5_objects, "look", opened), mock.patch.object(guarded, "read", read), \
            mock.patch.object(hdf5, "refuse_elsewhere", lambda path: None):
        yield


def text(found: dict[str, dict[str, list[float]]]) -> str:
    """A row for each stage."""
    lines = ["| ms of a cycle | contained | not | containment |", "| --- | --- | --- | --- |"]
    for name, values in found["contained"].items():
        both = list(zip(values, found["not"][name], strict=True))
        lines.append(f"| {name} | {median(values):.0f} | {median(found['not'][name]):.0f} | "
                     f"{median(one - other for one, other in both):.1f} |")
    return "\n".join([*lines, f"{len(both)} cycles each, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"])


if __name__ == "__main__":
    program.run(main, "cycle")
