"""A disk that refuses any one call of any stage: what the stage says, and that the next run ends with the same bits.

    python -m tests.system.refusals                                   all calls of all stages: hours
    python -m tests.system.refusals --most 500 --results FAULTS.jsonl     so many more, beside those that stand there

A shim (`refuse.c`) counts the calls of a stage that change files of the experiment (open, write, truncate, fsync,
rename, close, mkdir, unlink).  It lets the k-th fail with EIO or ENOSPC, lets a write end half done, fills the disk or
makes it read-only from the k-th on, or cuts the power before it: the process is gone, and with it what was not flushed
(`power`).  Then a stage has either gone on as if nothing had been (a log line, a short write) or has ended with one
sentence and no product that is half written; run again it makes the same.  Each is tried as a step and as a service.

In a first pass each call is met in one way, in the next in another, until it was met in all.  Of a pass, calls other
than writes come first, then writes in an order whose every beginning is spread over all of them.
"""

import argparse
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import chain, islice, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tests.system import experiment, power
from tests.system.experiment import CHECKOUT, TIMES, Experiment, data, same
from tests.system.warm import Warm

HOWS = ("EIO", "ENOSPC", "short", "full", "readonly", "cut")
STAGES = {"observations": ("obsproc",), "analysis": ("letkf_mpi.analysis",),
          "forecast": ("model_server", "forecast"), "verify": ("verify", "scores")}
MANNERS = {"step": TIMES[0], "service": "--follow"}
ENDS = {0: "went on", 1: "told", -signal.SIGKILL: "cut",
        -signal.SIGSEGV: "died"}  # in HDF5's library, where a disk refuses what it closes with
TEXT = experiment.TEXT.replace("end = 1989-01-01T06", "end = 1989-01-01T00").replace("members = 8", "members = 2")
Data = dict[str, dict[str, np.ndarray]]


@dataclass(frozen=True)
class Fault:
    """The call of that number of a stage, met so."""

    stage: str
    manner: str
    how: str
    number: int
    call: str


@dataclass(frozen=True)
class Trial:
    """A stage: the experiment before it, the files that an undisturbed run makes of it, and the calls of that run."""

    before: Experiment
    stage: str
    manner: str
    program: Warm
    after: Data
    calls: tuple[str, ...]

    def faults(self, turn: int) -> list[Fault]:
        """Of each call one, another at each turn, in the order in which they are tried."""
        writes = [place for place, call in enumerate(self.calls) if call == "write"]
        others = [place for place, call in enumerate(self.calls) if call != "write"]
        order = [*others, *(writes[place] for place in spread(len(writes)))]
        return [fault for place in order if (fault := self.fault(place, turn)) is not None]

    def fault(self, place: int, turn: int) -> Fault | None:
        """How the call at a place is met at a turn, None where it was met in all ways; only writes end half done."""
        hows = HOWS if self.calls[place] == "write" else tuple(how for how in HOWS if how != "short")
        if turn >= len(hows):
            return None
        how = hows[(place + turn + list(MANNERS).index(self.manner)) % len(hows)]
        before = self.calls[:place]
        return Fault(self.stage, self.manner, how, (before.count("write") if how == "short" else place) + 1,
                     self.calls[place])

    def end(self, fault: Fault) -> str:
        """One of ENDS; anything else is what should not have been, in words."""
        with TemporaryDirectory() as folder:
            made = experiment.copy(self.before.work, Path(folder))
            journal = Path(folder) / "journal"
            journal.touch()
            status, words = run(self.program, made, fault, journal)
            if fault.how == "cut" and status == -signal.SIGKILL:
                power.lose(journal, names=fault.number // len(HOWS) % 2 == 0)
            if wrong := misspoken(status, words):
                return wrong
            try:
                return self.compared(made, status)
            except AssertionError as error:
                return f"other bits: {error}"

    def compared(self, made: Experiment, status: int) -> str:
        """What a stage that ended so has left: its product at once where it went on, else from one more run."""
        before = self.before.folder
        if status != 0:
            experiment.nothing_half_written(made, before)
            again, words = run(self.program, made, Fault(self.stage, self.manner, "", 0, ""))
            if again != 0:
                return "does not go on: " + words.strip().splitlines()[-1]
        experiment.nothing_half_written(made, before)
        same(data(made.folder, before), self.after)
        return ENDS[status]


def misspoken(status: int, words: str) -> str:
    """What is wrong with how a stage ended."""
    if "Traceback" in words:
        return "traceback: " + words.strip().splitlines()[-1]
    if status not in ENDS:
        return f"ended with status {status}"
    sentences = words.count(" ERROR ")
    return f"ended with {sentences} sentences" if status == 1 and sentences != 1 else ""


def spread(count: int) -> Iterator[int]:
    """0 … count - 1, each beginning of it spread evenly: the bits of a number backwards (van der Corput)."""
    bits = max(count - 1, 0).bit_length()
    backwards = (int(format(number, f"0{bits}b")[::-1], 2) for number in range(2**bits))
    return (number for number in backwards if number < count)


def run(program: Warm, made: Experiment, fault: Fault, journal: Path | None = None) -> tuple[int, str]:
    """Exit status and words of a stage that meets a fault, one of number 0 none."""
    chosen = {"WORK": str(made.work), "REFUSE_UNDER": str(made.folder), "REFUSE_AT": str(fault.number),
              "REFUSE_HOW": fault.how} | ({"REFUSE_COUNT": str(journal)} if journal else {})
    return program.run([*STAGES[fault.stage][1:], str(made.path), MANNERS[fault.manner]], chosen,
                       experiment.CYCLE_LIMIT_S)


def built(folder: Path) -> Path:
    """The shim, compiled."""
    made = folder / "refuse.so"
    subprocess.run(["cc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(made),
                    str(Path(__file__).with_name("refuse.c")), "-ldl"], check=True)
    return made


@contextmanager
def trials(folder: Path, stages: Sequence[str] = tuple(STAGES), manners: Sequence[str] = tuple(MANNERS)
           ) -> Iterator[list[Trial]]:
    """The stages one after another, each begun with what the one before left, of an experiment made in `folder`."""
    made = experiment.make(folder / "made" / "work", TEXT)
    assert made.program("contracts", str(made.path), "--freeze", "test").returncode == 0
    environment = made.environment | {"LD_PRELOAD": str(built(folder)), "OMP_NUM_THREADS": "1"}
    environment.pop("RANKS")
    found = []
    with ExitStack() as stack:
        for stage in STAGES:
            program = Warm.start(STAGES[stage][0], environment, folder / f"{stage}.words", CHECKOUT)
            stack.callback(program.end)
            before = experiment.copy(made.work, folder / f"before_{stage}")
            for manner in manners:
                made = experiment.copy(before.work, folder / f"{stage}_{manner}")
                calls = folder / f"{stage}_{manner}.calls"
                status, words = run(program, made, Fault(stage, manner, "", 0, ""), calls)
                assert status == 0, words
                names = tuple(line.partition("\t")[0] for line in calls.read_text().splitlines())
                if stage in stages:
                    found.append(Trial(before, stage, manner, program, data(made.folder, before.folder), names))
        yield found


def planned(of_all: Sequence[Trial], done: Iterable[Fault] = ()) -> Iterator[tuple[Trial, Fault]]:
    """What is still to be tried, of all stages and manners in turn."""
    done = set(done)
    for turn in range(len(HOWS)):
        rows = [[(trial, fault) for fault in trial.faults(turn)] for trial in of_all]
        in_turn = chain.from_iterable(zip_longest(*rows))
        yield from (each for each in in_turn if each is not None and each[1] not in done)


def kept(results: Path) -> dict[Fault, str]:
    """The faults of earlier runs with their ends."""
    lines = results.read_text().splitlines() if results.exists() else []
    read = (json.loads(line) for line in lines)
    return {Fault(**{name: value for name, value in each.items() if name != "end"}): each["end"] for each in read}


def table(ends: dict[Fault, str]) -> str:
    """A row by stage, how and call, with every end."""
    found = Counter((fault.stage, fault.how, fault.call) for fault in ends)
    ended = Counter((fault.stage, fault.how, fault.call, end) for fault, end in ends.items())
    lines = ["| stage | how | call | faults | ends |", "| --- | --- | --- | --- | --- |"]
    for row, number in sorted(found.items(), key=lambda each: (list(STAGES).index(each[0][0]), each[0][1:])):
        told = ", ".join(f"{end} {count}" for (*of, end), count in sorted(ended.items()) if tuple(of) == row)
        lines.append(f"| {' | '.join(row)} | {number} | {told} |")
    wrong = sum(end not in ENDS.values() for end in ends.values())
    manners = Counter(fault.manner for fault in ends)
    return "\n".join([*lines, f"{len(ends)} faults ({', '.join(f'{n} of a {m}' for m, n in sorted(manners.items()))}), "
                              f"{wrong} with an end that should not be"])


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.system.refusals", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=tuple(STAGES))
    parser.add_argument("--manners", nargs="+", choices=MANNERS, default=tuple(MANNERS))
    parser.add_argument("--most", type=int, metavar="N", help="so many faults more (default: all)")
    parser.add_argument("--results", type=Path, metavar="FILE", help="keep each end there, and go on from there")
    chosen = parser.parse_args()
    with TemporaryDirectory() as folder, trials(Path(folder), chosen.stages, chosen.manners) as of_all:
        results = chosen.results or Path(folder) / "results"
        ends = kept(results)
        with results.open("a", buffering=1) as file:
            for trial, fault in islice(planned(of_all, ends), chosen.most):
                ends[fault] = trial.end(fault)
                file.write(json.dumps(asdict(fault) | {"end": ends[fault]}) + "\n")
                if ends[fault] not in ENDS.values():
                    print(fault, ends[fault], flush=True)
    print(table(ends))
    sys.exit(any(end not in ENDS.values() for end in ends.values()))


if __name__ == "__main__":
    main()
