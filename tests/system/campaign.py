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
about at that moment does not, so that a campaign repeated meets other faults of the same kinds.
"""

import argparse
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.system import experiment
from tests.system.experiment import Experiment, copy, data, nothing_half_written, processes_of, same, told

RUN_LIMIT_S = 180.0  # a run that takes longer hangs
FAULTS_IN_A_ROUND = 8
RESUMES = 8  # at the end of a round; so many damaged files are found one after the other at most
SENTENCE = re.compile(r" ERROR |left its product incomplete|^cycle.sh: (?!.*its words: \S+$)", re.MULTILINE)
ROOM = 64 * 2**20  # bytes of the disk that is filled

TEXT = experiment.TEXT.replace("1989-01-01T06", "1989-01-01T12").replace("members = 8", "members = 6")
TEXT += "restarts = 1\n"


@dataclass
class Run:
    """One run of `run/cycle.sh` and what its fault may need; `undo` is called when the run has ended."""

    made: Experiment
    rng: random.Random
    process: subprocess.Popen
    undo: Callable[[], None] = lambda: None

    def wait_for(self, happened: Callable[[], object], limit_s: float = RUN_LIMIT_S) -> object:
        """What `happened` returns once that is true; nothing where the run ends or the time is over before."""
        limit = time.monotonic() + limit_s
        while self.process.poll() is None and time.monotonic() < limit:
            if found := happened():
                return found
            time.sleep(0.002)
        return None


@dataclass(frozen=True)
class Fault:
    """What is wrong from the start (shell text `before` it), or what happens at a random moment; True where it did."""

    before: Callable[[Experiment, random.Random], str] | None = None
    strike: Callable[[Run], bool] = lambda run: True
    users: bool = True  # whether it is one that must be told in a sentence; who is killed says nothing


def killed(*modules: str) -> Fault:
    """One of the processes of any of the `modules`."""

    def strike(run: Run) -> bool:
        found = run.wait_for(lambda: [process for module in modules for process in processes_of(run.made, module)])
        return bool(found) and _kill(run.rng.choice(found))

    return Fault(strike=strike, users=False)


def _kill(process: int) -> bool:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def kill_driver(run: Run) -> bool:
    """The script alone; the step in hand goes on and keeps the lock."""
    return _kill(run.process.pid)


def kill_all(run: Run) -> bool:
    """As when the computer loses its power, but for what the disk has not written yet."""
    os.killpg(run.process.pid, signal.SIGKILL)
    return True


def kill_writer(run: Run) -> bool:
    """The same while a file is being written."""
    times = [path for path in run.made.folder.iterdir() if path.name.isdigit()]
    places = [place for path in times for place in (path, path / "analysis", path / "background")]

    def writing() -> bool:
        return any(name.endswith(".part") for place in places if place.exists() for name in os.listdir(place))

    return bool(run.wait_for(writing, 10)) and kill_all(run)


def wrong_launcher(script: str) -> Fault:
    """MPIEXEC is a shell script, called with `-n RANKS COMMAND…`."""

    def before(made: Experiment, rng: random.Random) -> str:
        path = made.work / "mpiexec"
        path.write_text(f"#!/usr/bin/env bash\n{script}\n")
        path.chmod(0o755)
        return f"export MPIEXEC={path}"

    return Fault(before)


def damaged(damage: Callable[[Path, random.Random], None]) -> Fault:
    """A file of the experiment, mostly one of those written last."""

    def strike(run: Run) -> bool:
        files = run.wait_for(lambda: sorted(_products(run.made), key=lambda path: path.stat().st_mtime))
        if not files:
            return False
        path = run.rng.choice(files[-12:] if run.rng.random() < 0.7 else files)
        damage(path, run.rng)
        return True

    return Fault(strike=strike)


def _products(made: Experiment) -> list[Path]:
    """What steps read: members, observations, departures, inflation."""
    named = [path for name in ("observations", "departures", "inflation") for path in made.folder.glob(f"*/{name}.nc")]
    return [*named, *made.folder.glob("*/analysis/m*.nc"), *made.folder.glob("*/background/m*.nc")]


def truncate(path: Path, rng: random.Random) -> None:
    os.truncate(path, rng.randrange(path.stat().st_size))


def flip_a_bit(path: Path, rng: random.Random) -> None:
    """Anywhere: in the values, in the attributes, in what HDF5 keeps for itself."""
    with path.open("r+b") as file:
        file.seek(rng.randrange(path.stat().st_size))
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1 << rng.randrange(8)]))


def vanish(path: Path, rng: random.Random) -> None:
    """What nobody would miss is left: `run/cycle.sh` looks for what it needs to go on."""
    if path.name != "inflation.nc":
        path.unlink()


def limit_files(made: Experiment, rng: random.Random) -> str:
    """No file may grow beyond a part of a member's size, but for those of the analysis: MPI's memory is files too."""
    launcher = Path(sys.executable).parent / "mpiexec"
    unlimited = wrong_launcher(f'ulimit -S -f unlimited; exec "{launcher}" "$@"').before
    state = next((made.work / "climate").glob("1988*.nc"))
    return f"{unlimited(made, rng)}; ulimit -S -f {rng.randrange(1, state.stat().st_size // 1024)}"


def fill_disk(run: Run) -> bool:
    """Leave nothing, or nearly nothing, of the disk that the experiment stands on."""
    filler = fill(run.made.work.parent, run.rng.choice((0, run.rng.randrange(2**20))))
    run.undo = lambda: filler.unlink()
    return True


def fill(disk: Path, leave: int) -> Path:
    """A file that leaves `leave` bytes of the disk."""
    filler = disk / "filler"
    with filler.open("wb") as file, contextlib.suppress(OSError):  # where others fill it meanwhile
        os.posix_fallocate(file.fileno(), 0, max(shutil.disk_usage(disk).free - leave, 1))
    return filler


FAULTS = {
    "analysis killed": killed("letkf_mpi.analysis", "neural_da.analysis"),
    "model server killed": killed("model_server"),
    "obsproc killed": killed("obsproc"),
    "verify killed": killed("verify scores"),
    "driver killed": Fault(strike=kill_driver, users=False),
    "all killed": Fault(strike=kill_all, users=False),
    "writer killed in a write": Fault(strike=kill_writer, users=False),
    "disk full": Fault(strike=fill_disk),
    "file size limit": Fault(limit_files),
    "file truncated": damaged(truncate),
    "bit flipped": damaged(flip_a_bit),
    "file vanished": damaged(vanish),
    "launcher starts nothing": wrong_launcher("exit 0"),
    "launcher of another MPI": wrong_launcher(
        'export OMPI_COMM_WORLD_SIZE=$2; shift 2; "$@" & "$@"; status=$?; wait; exit $status'),
    "launcher starts singletons": wrong_launcher('shift 2; "$@" & "$@"; wait; exit 0'),
}


@dataclass
class Tally:
    """Of one kind of fault: how many struck, how many ended the run, seconds of those runs."""

    struck: int = 0
    stopped: int = 0
    seconds: float = 0.0


@dataclass
class Campaign:
    """Faults until there were enough; `trouble` is what must not be."""

    wanted: int
    rng: random.Random
    services: bool
    prepared: Path
    undisturbed: dict
    seconds: float  # that the undisturbed run took; within half of them after the start of a run its fault comes
    tallies: dict[str, Tally]
    trouble: list[str] = field(default_factory=list)
    rounds: int = 0
    resumes: int = 0
    asked: Counter = field(default_factory=Counter)  # what the words of a run told us to do

    @property
    def struck(self) -> int:
        return sum(tally.struck for tally in self.tallies.values())

    def round(self, made: Experiment) -> None:
        """One experiment from its first cycle to its last."""
        self.rounds += 1
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
        least = min(tally.struck for tally in self.tallies.values())
        kind = self.rng.choice([kind for kind, tally in self.tallies.items() if tally.struck == least])
        began = time.monotonic()
        complete, words = self.run(made, more, kind)
        self.tallies[kind].stopped += not complete
        self.tallies[kind].seconds += time.monotonic() - began
        print(f"{self.struck:4d}  {kind:26}  {'went on' if complete else words.strip().splitlines()[-1:]}", flush=True)
        return complete, self.heed(made, words)

    def run(self, made: Experiment, more: str, kind: str | None) -> tuple[bool, str]:
        """Run `run/cycle.sh` with a fault or none; whether it ended well, and its words."""
        fault = FAULTS[kind] if kind else Fault()
        self.resumes += 1
        before = fault.before(made, self.rng) if fault.before else ""
        process = made.start(before=before, after=f"{more} {'--services' * self.services}")
        run = Run(made, self.rng, process)
        until = time.monotonic() + self.rng.uniform(0, self.seconds / 2)
        if kind and not fault.before:
            run.wait_for(lambda: time.monotonic() > until)
            self.tallies[kind].struck += process.poll() is None and fault.strike(run)
        words = self.ended(run, kind)
        if kind and fault.before:  # without effect where the step concerned was there already
            self.tallies[kind].struck += process.returncode != 0
        run.undo()
        if "Traceback" in words:
            self.trouble.append(f"{kind}: a traceback\n{words}")
        if process.returncode > 0 and fault.users and not SENTENCE.search(words):
            self.trouble.append(f"{kind}: status {process.returncode} without a sentence\n{words}")
        return process.returncode == 0, words

    def ended(self, run: Run, kind: str | None) -> str:
        """The words of a run when it has ended, all its processes with it."""
        try:
            words = "".join(run.process.communicate(timeout=RUN_LIMIT_S))
        except subprocess.TimeoutExpired:
            self.trouble.append(f"{kind}: hung for {RUN_LIMIT_S:g} s")
            experiment.kill(run.process)
            return ""
        limit = time.monotonic() + RUN_LIMIT_S
        while processes_of(run.made) and time.monotonic() < limit:
            time.sleep(0.05)
        if left := processes_of(run.made):
            self.trouble.append(f"{kind}: processes {left} outlived the run by {RUN_LIMIT_S:g} s")
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
             analysis: str = "letkf") -> Campaign:
    """Rounds in `folder` until `faults` of these `kinds` have struck or there was trouble."""
    prepared = experiment.make(folder / "prepared" / "work", TEXT + experiment.ANALYSES[analysis]).work
    undisturbed = copy(prepared, folder / "undisturbed")
    began = time.monotonic()
    done = undisturbed.run()
    seconds = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    with small_disk(folder / "disk") as mounted:
        of_all = Campaign(faults, random.Random(seed), services, prepared, data(undisturbed.folder), seconds,
                          {kind: Tally() for kind in kinds if mounted or kind != "disk full"})
        while of_all.struck < faults and not of_all.trouble:
            of_all.round(copy(prepared, folder / "disk"))
            if not of_all.trouble:
                shutil.rmtree(folder / "disk" / "work")
            elif mounted:
                shutil.copytree(folder / "disk" / "work", folder / "trouble")
    return of_all


def text(of_all: Campaign, seconds: float) -> str:
    """The table at the end."""
    lines = [f"{'fault':26}  struck  ended the run  seconds a run"]
    lines += [f"{kind:26}  {tally.struck:6}  {tally.stopped:13}  {tally.seconds / max(tally.struck, 1):13.1f}"
              for kind, tally in of_all.tallies.items()]
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
    parser.add_argument("--folder", type=Path, help="where the experiments stay (default: a temporary folder, removed)")
    chosen = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        of_all = campaign(chosen.folder or Path(temporary), chosen.faults, chosen.seed, chosen.services,
                          chosen.kinds or meets(chosen.analysis), chosen.analysis)
    print(text(of_all, time.monotonic() - began))
    sys.exit(bool(of_all.trouble))


if __name__ == "__main__":
    main()
