"""A disk that refuses any one call of any stage: what the stage says, and that the next run ends with the same bits.

    python -m tests.system.refusals [--stages obsproc …] [--every 1]     all calls, a row by stage and kind

A shim (`refuse.c`) counts the calls of a stage that change files of the experiment (open, write, fsync, rename, close)
and lets the k-th fail with EIO or ENOSPC, or a write end half done.  Then a stage either goes on as if nothing had been
(a log line, a short write) or ends with a sentence and no product that is half written; run again it makes the same.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tests.system import experiment
from tests.system.experiment import CHECKOUT, TIMES, Experiment, data, same

HOWS = ("EIO", "ENOSPC", "short")
MAY_BE = ("unharmed", "told", "died")  # the last of SIGSEGV in HDF5's library, where a disk refuses what it closes with
STAGES = {"observations": ("obsproc",), "analysis": ("letkf_mpi.analysis",),
          "forecast": ("model_server", "forecast"), "verify": ("verify", "scores")}
Data = dict[str, dict[str, np.ndarray]]


@dataclass(frozen=True)
class End:
    """Of a stage whose k-th call was refused."""

    stage: str
    how: str
    call: str
    state: str  # one of MAY_BE; anything else is a fault, in words


def built(folder: Path) -> Path:
    """The shim, compiled."""
    made = folder / "refuse.so"
    subprocess.run(["cc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(made),
                    str(Path(__file__).with_name("refuse.c")), "-ldl"], check=True)
    return made


@dataclass(frozen=True)
class Trial:
    """An experiment before a stage, how its folder looks after an undisturbed one, and the calls of that."""

    before: Experiment
    stage: str
    shim: Path
    after: Data
    calls: tuple[str, ...]

    def ends(self, numbers: range, how: str) -> Iterator[End]:
        """Refuse one call after another, each in a copy of the experiment."""
        for number in numbers:
            with TemporaryDirectory() as folder:
                made = experiment.copy(self.before.work, Path(folder))
                yield End(self.stage, how, self.counted(how)[number - 1], self._end(made, number, how))

    def counted(self, how: str) -> tuple[str, ...]:
        """The calls that can be refused so: only writes can end half done."""
        return tuple(call for call in self.calls if call == "write" or how != "short")

    def _end(self, made: Experiment, number: int, how: str) -> str:
        done = run(made, self.stage, self.shim, {"REFUSE_AT": str(number), "REFUSE_HOW": how})
        if "Traceback" in done.stderr:
            return "traceback: " + done.stderr.strip().splitlines()[-1]
        if done.returncode not in (0, 1, -signal.SIGSEGV):
            return f"ended with status {done.returncode}"
        experiment.nothing_half_written(made)
        again = run(made, self.stage, self.shim)
        if again.returncode != 0:
            return "does not go on: " + again.stderr.strip().splitlines()[-1]
        same(data(made.folder), self.after)
        return {0: "unharmed", 1: "told"}.get(done.returncode, "died")


def run(made: Experiment, stage: str, shim: Path, more: Mapping[str, str] = {}) -> subprocess.CompletedProcess:  # noqa: B006
    environment = made.environment | {"LD_PRELOAD": str(shim), "REFUSE_UNDER": str(made.folder)} | more
    environment.pop("RANKS")
    return subprocess.run([sys.executable, "-m", *STAGES[stage], str(made.path), TIMES[0]], env=environment,
                          cwd=CHECKOUT, text=True, capture_output=True, timeout=experiment.CYCLE_LIMIT_S)


def trials(prepared: Path, folder: Path, stages: tuple[str, ...] = tuple(STAGES)) -> Iterator[Trial]:
    """The stages one after another; each leaves what the next begins with."""
    shim = built(folder)
    made = experiment.copy(prepared, folder / "undisturbed")
    for stage in STAGES:
        before = experiment.copy(made.work, folder / f"before_{stage}")
        count = folder / f"calls_{stage}"
        done = run(made, stage, shim, {"REFUSE_COUNT": str(count)})
        assert done.returncode == 0, done.stderr
        if stage in stages:
            yield Trial(before, stage, shim, data(made.folder), tuple(count.read_text().split()))


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.system.refusals", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=tuple(STAGES))
    parser.add_argument("--every", type=int, default=1, help="every so many calls")
    chosen = parser.parse_args()
    faults = 0
    with TemporaryDirectory() as folder:
        prepared = experiment.make(Path(folder) / "prepared" / "work").work
        for trial in trials(prepared, Path(folder), tuple(chosen.stages)):
            for how in HOWS:
                found = Counter((end.call, end.state) for end in trial.ends(
                    range(1, len(trial.counted(how)) + 1, chosen.every), how))
                for (call, state), number in sorted(found.items()):
                    faults += number * (state not in MAY_BE)
                    print(f"{trial.stage:13}{how:7}{call:7}{number:5}  {state}", flush=True)
    print(f"{faults} of them should not have been")
    sys.exit(os.EX_OK if not faults else 1)


if __name__ == "__main__":
    main()
