"""A campaign of faults: break a small experiment at random moments, resume it, and see that nothing was lost.

    python -m tests.system.campaign --faults 100 --seed 1 [--services]

A round is one twin experiment of three cycles with real programs.  Each of its runs meets a fault of the kinds in
FAULTS at a random moment, and the next run resumes it; then it is run to its end undisturbed.  What must hold:

    no run takes longer than a limit
    a run that fails says why in words, never in a traceback, and its exit status is not zero
    what the words ask for (remove a file, `--redo`, `run/prepare.sh`) is enough to go on
    the experiment ends with the bits of one that met no fault

A product that all steps have read already may be damaged unseen: nothing that follows changes, and
`python -m contracts EXPERIMENT.toml --check` names it.  Moments and places follow from the seed; what a process was
about at that moment does not, so that a campaign repeated meets other faults of the same kinds.  With --results each
round that ended well is kept in a file, and the next campaign goes on with the round after it.
"""

import argparse
import contextlib
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from contracts.paths import ExperimentFolder
from tests.system import experiment, memory
from tests.system.experiment import Experiment, copy, data, nothing_half_written, processes_of, same, told
from tests.system.faults import FAULTS, RUN_LIMIT_S, Fault, Run

FAULTS_IN_A_ROUND = 8
RESUMES = 8  # at the end of a round; so many damaged files are found one after the other at most
SENTENCE = re.compile(r" ERROR |left its product incomplete|^cycle.sh: (?!.*its words: \S+$)|"
                      r"\.sh: line \d+: .*: (Input/output error|No space left on device|Read-only file system)$",
                      re.MULTILINE)  # the last is what bash says of the files that it opens itself
PATIENCE = 10  # with the undisturbed run, from which the limits of the others follow
ROOM = 64 * 2**20  # bytes of the disk that is filled

TEXT = experiment.TEXT.replace("1989-01-01T06", "1989-01-01T12").replace("members = 8", "members = 6")
TEXT += "restarts = 1\n"


@dataclass(frozen=True)
class Met:
    """A fault that struck: how the run was made, what was being made then, how the run ended and after how long."""

    kind: str
    mode: str  # the analysis, and whether with services
    stage: str
    end: str
    seconds: float


@dataclass
class Campaign:
    """Faults until there were enough; `trouble` is what must not be."""

    wanted: int
    seed: int
    services: bool
    analysis: str
    prepared: Path
    undisturbed: dict
    seconds: float  # that the undisturbed run took; within half of them after the start of a run its fault comes
    kinds: list[str]
    results: Path | None = None
    met: list[Met] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    rng: random.Random = field(default_factory=random.Random)  # of a round
    rounds: int = 0
    resumes: int = 0
    asked: Counter = field(default_factory=Counter)  # what the words of a run told us to do

    @property
    def mode(self) -> str:
        return self.analysis + ", services" * self.services

    @property
    def struck(self) -> int:
        return len(self.met)

    @property
    def limit_s(self) -> float:
        """A run that takes longer hangs, also on a computer that is busy."""
        return max(RUN_LIMIT_S, 20 * self.seconds)

    def go_on(self) -> None:
        """Take up what earlier campaigns of this mode met."""
        if self.results is not None and self.results.exists():
            of_all = [json.loads(line) for line in self.results.read_text().splitlines()]
            self.met = [Met(**met) for one in of_all for met in one["met"] if met["mode"] == self.mode]
            self.rounds = max((one["round"] for one in of_all if one["mode"] == self.mode), default=0)

    def round(self, made: Experiment) -> None:
        """One experiment from its first cycle to its last; it is kept where it ended well."""
        self.rounds += 1
        self.rng = random.Random(f"{self.seed} {self.mode} {self.rounds}")
        before = self.struck
        self.faults_of(made)
        if not self.trouble and self.results is not None:
            kept = {"mode": self.mode, "round": self.rounds, "met": [asdict(met) for met in self.met[before:]]}
            with self.results.open("a") as file:
                file.write(json.dumps(kept) + "\n")

    def faults_of(self, made: Experiment) -> None:
        more, complete = "", False
        for _ in range(FAULTS_IN_A_ROUND):
            if complete or self.struck >= self.wanted:
                break
            complete, more = self.disturbed(made, more)
        for _ in range(RESUMES):
            complete, words = self.run(made, more, None)
            more = self.heed(made, words)
            if complete and not more and (more := self.damage_unseen(made)) is None:
                break
        else:
            self.trouble.append(f"round {self.rounds}: not complete after {RESUMES} resumes; its last words:\n{words}")
            return
        self.compare(made)

    def disturbed(self, made: Experiment, more: str) -> tuple[bool, str]:
        """One run with a fault; whether the experiment is complete, and what the next run is to be told."""
        counts = {kind: sum(met.kind == kind for met in self.met) for kind in self.kinds}
        kind = self.rng.choice([kind for kind in self.kinds if counts[kind] == min(counts.values())])
        complete, words = self.run(made, more, kind)
        print(f"{self.struck:4d}  {kind:26}  {'went on' if complete else words.strip().splitlines()[-1:]}", flush=True)
        return complete, self.heed(made, words)

    def run(self, made: Experiment, more: str, kind: str | None) -> tuple[bool, str]:
        """Run `run/cycle.sh` with a fault or none; whether it ended well, and its words."""
        fault = FAULTS[kind] if kind else Fault()
        self.resumes += 1
        began, stage, struck = time.monotonic(), at_work(made), False
        before = fault.before(made, self.rng) if fault.before else ""
        process = made.start(before=before, after=f"{more} {'--services' * self.services}")
        run = Run(made, self.rng, process)
        until = time.monotonic() + self.rng.uniform(0, self.seconds / 2)
        if fault.strike:
            run.wait_for(lambda: time.monotonic() > until)
            stage = at_work(made)
            struck = process.poll() is None and fault.strike(run)
        words = self.ended(run, kind)
        if fault.before and not fault.strike:  # without effect where the step concerned was there already
            stage, struck = at_work(made), fault.struck(made, process.returncode)
        if wrong := run.undo():
            self.trouble.append(f"{kind}: {wrong}")
        if kind and struck:
            end = "went on" if process.returncode == 0 else "told" if fault.users else "killed"
            self.met.append(Met(kind, self.mode, stage, end, round(time.monotonic() - began, 1)))
        if "Traceback" in words:
            self.trouble.append(f"{kind}: a traceback\n{words}")
        if process.returncode > 0 and fault.users and not SENTENCE.search(words):
            self.trouble.append(f"{kind}: status {process.returncode} without a sentence\n{words}")
        return process.returncode == 0, words

    def ended(self, run: Run, kind: str | None) -> str:
        """The words of a run when it has ended, all its processes with it."""
        try:
            words = "".join(run.process.communicate(timeout=self.limit_s))
        except subprocess.TimeoutExpired:
            self.trouble.append(f"{kind}: hung for {self.limit_s:g} s")
            experiment.kill(run.process)
            return ""
        limit = time.monotonic() + self.limit_s
        while processes_of(run.made) and time.monotonic() < limit:
            time.sleep(0.05)
        if left := processes_of(run.made):
            self.trouble.append(f"{kind}: processes {left} outlived the run by {self.limit_s:g} s")
        return words

    def heed(self, made: Experiment, words: str) -> str:
        """Do what the words of a run ask for; returns what is to be added to the next command."""
        for line in words.splitlines():
            found = re.search(rf"({re.escape(str(made.folder))}\S+\.nc): .*remove it and make it again", line)
            if found and Path(found[1]).exists():
                Path(found[1]).unlink()
                self.asked["remove it"] += 1
        if "run: run/prepare.sh" in words:
            self.asked["run/prepare.sh"] += 1
            done = made.program("model_server", "initial", str(made.path))  # of it; there is no nature run here
            assert done.returncode == 0, done.stderr
        if found := re.search(r"run/cycle.sh EXPERIMENT.toml (--redo \w+ \d{10})", words):
            self.asked["--redo"] += 1
            return found[1]
        return ""

    def damage_unseen(self, made: Experiment) -> str | None:
        """Of a complete experiment: what to add to the command that makes damaged files again; None where none is."""
        done = made.program("contracts", str(made.path), "--check")
        if done.returncode == 0:
            return None
        self.asked["--check"] += 1
        return self.heed(made, done.stderr)

    def compare(self, made: Experiment) -> None:
        """The end of a round is that of an undisturbed run."""
        try:
            nothing_half_written(made)
            same(data(made.folder), self.undisturbed)
            made.program("verify", "status", str(made.path))
            assert told(made) == ("complete", "done", ""), told(made)
        except AssertionError:
            self.trouble.append(f"round {self.rounds}: {traceback.format_exc()}")


def at_work(made: Experiment) -> str:
    """The stage that makes what is missing first; "end" where nothing is."""
    experiment, folder = made.settings.experiment, ExperimentFolder(made.folder)
    for when in experiment.times():
        here, following = folder.at(when), folder.at(when + experiment.step)
        for stage, product in (("observations", here.observations), ("analysis", here.departures),
                               ("forecast", following.background.spread), ("verify", here.scores)):
            if not product.exists():
                return stage
    return "end"


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A disk of its own at `folder`, where that is allowed; yields whether."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "none", str(folder)], capture_output=True)
    try:
        yield mounted.returncode == 0
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def campaign(folder: Path, faults: int, seed: int, services: bool, kinds: Iterable[str] = FAULTS,
             analysis: str = "letkf", results: Path | None = None) -> Campaign:
    """Rounds in `folder` until `faults` of these `kinds` have struck, those kept in `results` among them, or there was
    trouble."""
    prepared = experiment.make(folder / "prepared" / "work", TEXT + experiment.ANALYSES[analysis]).work
    undisturbed = copy(prepared, folder / "undisturbed")
    began = time.monotonic()
    done = undisturbed.run(limit_s=PATIENCE * RUN_LIMIT_S)
    seconds = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    with memory.group() as group:
        possible = {"killed for memory": group is not None}
    with small_disk(folder / "disk") as mounted:
        possible["disk full"] = mounted
        of_all = Campaign(faults, seed, services, analysis, prepared, data(undisturbed.folder), seconds,
                          [kind for kind in kinds if possible.get(kind, True)], results)
        of_all.go_on()
        while of_all.struck < faults and not of_all.trouble:
            of_all.round(copy(prepared, folder / "disk"))
            if not of_all.trouble:
                shutil.rmtree(folder / "disk" / "work")
            elif mounted:
                shutil.copytree(folder / "disk" / "work", folder / "trouble")
    return of_all


def text(of_all: Campaign, seconds: float) -> str:
    """The table at the end."""
    lines = [f"| {of_all.mode} | struck | at which stage | the run | seconds a run |",
             "| --- | --- | --- | --- | --- |"]
    for kind in of_all.kinds:
        met = [one for one in of_all.met if one.kind == kind]
        stages, ends = (", ".join(f"{what} {count}" for what, count in sorted(Counter(given).items()))
                        for given in ((one.stage for one in met), (one.end for one in met)))
        lines.append(f"| {kind} | {len(met)} | {stages} | {ends} | "
                     f"{sum(one.seconds for one in met) / max(len(met), 1):.1f} |")
    asked = ", ".join(f"{what} {count}" for what, count in sorted(of_all.asked.items()))
    lines += [f"{of_all.struck} faults in {of_all.rounds} experiments, {of_all.resumes} runs, {seconds:.0f} s",
              f"asked for on the way: {asked or 'nothing'}",
              *(of_all.trouble or ["every experiment ended with the bits of the undisturbed one"])]
    return "\n".join(lines)


def meets(analysis: str) -> list[str]:
    """The kinds of faults that an analysis can meet: one that is no MPI program has no launcher to be wrong."""
    return [kind for kind in FAULTS if analysis == "letkf" or not kind.startswith("launcher")]


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.system.campaign", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=100, help="how many (default: 100)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--services", action="store_true", help="run with services instead of one process per step")
    parser.add_argument("--kinds", nargs="+", choices=FAULTS, metavar="KIND",
                        help=f"only these of: {', '.join(FAULTS)} (default: all that the analysis can meet)")
    parser.add_argument("--analysis", choices=experiment.ANALYSES, default="letkf",
                        help="which makes the analyses (default: letkf)")
    parser.add_argument("--results", type=Path, metavar="FILE", help="keep each round there, and go on from there")
    parser.add_argument("--folder", type=Path, help="where the experiments stay (default: a temporary folder, removed)")
    chosen = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        of_all = campaign(chosen.folder or Path(temporary), chosen.faults, chosen.seed, chosen.services,
                          chosen.kinds or meets(chosen.analysis), chosen.analysis, chosen.results)
    print(text(of_all, time.monotonic() - began))
    sys.exit(bool(of_all.trouble))


if __name__ == "__main__":
    main()
