"""What can befall a run of an experiment (`campaign`): from its start, or at a random moment of it."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.system import memory, power, refusals
from tests.system.experiment import Experiment, processes_of

RUN_LIMIT_S = 180.0  # a run that takes longer hangs
CALLS = 400  # of a process that is refused one, at most; most processes of a small experiment make as many


@dataclass
class Run:
    """One run of `run/cycle.sh` and what its fault may need; `undo` is called when the run has ended."""

    made: Experiment
    rng: random.Random
    process: subprocess.Popen
    undo: Callable[[], object] = lambda: None  # returns a sentence where that finds what must not be

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
    strike: Callable[[Run], bool] | None = None
    struck: Callable[[Experiment, int], bool] = lambda made, status: status != 0  # of what only was there before
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


def starve(run: Run) -> bool:
    """One process gets no more memory: the kernel kills it, where it asks for some."""
    found = run.wait_for(lambda: processes_of(run.made))
    with memory.group() as group:
        if not found or group is None:
            return False
        process = run.rng.choice(found)
        group.limit_to(memory.PAGE)
        with contextlib.suppress(ProcessLookupError):
            group.take(process)
            run.wait_for(lambda: group.kills or not group.processes, 10)
        return group.kills > 0


def pause(run: Run) -> bool:
    """One process stands still for a while, as on a computer that swaps, or at a debugger."""
    found = run.wait_for(lambda: processes_of(run.made))
    if not found:
        return False
    process = run.rng.choice(found)
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGSTOP)
        time.sleep(run.rng.uniform(0.5, 3.0))
        os.kill(process, signal.SIGCONT)
    return True


def second_driver(run: Run) -> bool:
    """Somebody starts the same experiment once more: that one is refused, or finds all complete."""
    other = run.made.start(before="export LOCK_WAIT=0")

    def refused() -> str:
        words = "".join(other.communicate(timeout=RUN_LIMIT_S))
        good = other.returncode == 0 or "another run of this experiment is at work" in words
        return "" if good else f"a second driver ended with status {other.returncode}\n{words}"

    run.undo = refused
    return True


def refusing(how: str) -> Fault:
    """Each process of the run has one of its calls refused so, where it makes as many."""

    def before(made: Experiment, rng: random.Random) -> str:
        return f"{keep_journal(made, rng)}; export REFUSE_HOW={how} REFUSE_AT={rng.randrange(1, CALLS)}"

    return Fault(before, struck=lambda made, status: "refused" in _journal(made).read_text())


def keep_journal(made: Experiment, rng: random.Random) -> str:
    """Of all that the processes of the run do to files, so that it is known what was flushed."""
    _journal(made).write_text("")
    return (f"export LD_PRELOAD={refusals.built(made.work)} REFUSE_UNDER={made.folder} "
            f"REFUSE_COUNT={_journal(made)}")


def _journal(made: Experiment) -> Path:
    return made.work / "journal"


def cut_power(run: Run) -> bool:
    """All processes are gone, and what was not flushed: of every second cut the names too."""
    names = run.rng.random() < 0.5
    run.undo = lambda: power.lose(_journal(run.made), names) and None
    return kill_all(run)


FAULTS = {
    "analysis killed": killed("letkf_mpi.analysis", "neural_da.analysis"),  # one rank, as for want of memory
    "model server killed": killed("model_server"),
    "obsproc killed": killed("obsproc"),
    "verify killed": killed("verify scores"),
    "killed for memory": Fault(strike=starve, users=False),
    "driver killed": Fault(strike=kill_driver, users=False),
    "all killed": Fault(strike=kill_all, users=False),
    "writer killed in a write": Fault(strike=kill_writer, users=False),
    "disk full": Fault(strike=fill_disk),
    "file size limit": Fault(limit_files),
    "call refused, EIO": refusing("EIO"),
    "call refused, ENOSPC": refusing("ENOSPC"),
    "write half done": refusing("short"),
    "disk read-only": refusing("readonly"),
    "power cut": Fault(keep_journal, cut_power, users=False),
    "process stopped a while": Fault(strike=pause),
    "second driver": Fault(strike=second_driver),
    "file truncated": damaged(truncate),
    "bit flipped": damaged(flip_a_bit),
    "file vanished": damaged(vanish),
    "launcher starts nothing": wrong_launcher("exit 0"),
    "launcher of another MPI": wrong_launcher(
        'export OMPI_COMM_WORLD_SIZE=$2; shift 2; "$@" & "$@"; status=$?; wait; exit $status'),
    "launcher starts singletons": wrong_launcher('shift 2; "$@" & "$@"; wait; exit 0'),
}
