"""A small twin experiment with real programs: model persistence, a truth that stands still, members drawn around it.

Everything is smooth on the sphere and follows from the seed; nothing needs more than seconds.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import netCDF4
import numpy as np

from contracts import config, state, static, times
from contracts.grid import Grid
from contracts.state import State, StateSpace
from contracts.static import Static
from tests.builders import CLIMATE, lay_package
from tests.neural_da.case import write_latent
from verify.config import Settings

CHECKOUT = Path(__file__).resolve().parent.parent.parent
START = datetime(1989, 1, 1, tzinfo=UTC)
MEMBERS, CYCLES, RANKS = 8, 2, 2
CYCLE_LIMIT_S = 180  # a cycle run that takes longer hangs
TIMES = ["1989010100", "1989010106"]

TEXT = """
[experiment]
name = "tiny"
start = 1989-01-01T00:00:00Z
end = 1989-01-01T06:00:00Z
members = 8
mode = "research"
[grid]
nlat = 8
nlon = 16
[state]
levels_hpa = [500, 850, 925]
[model]
name = "persistence"
[initial]
folder = "climate"
first = 1988-01-01T00:00:00Z
[observations]
source = "synthetic"
[synthetic]
truth = "truth/%Y%m%d%H.nc"
stations = [4, 8, 16, 8, 4]
[localization]
horizontal_km = 3000.0
[inflation]
method = "adaptive"
[relaxation]
method = "rtpp"
alpha = 0.1
[verify]
truth = "truth/%Y%m%d%H.nc"
[run]
status = false
figures = false
"""
SHOWN = TEXT.replace("= false", "= true")  # with all that people look at

ANALYSES = {  # at the end of an experiment file, whose last section is [run]
    "letkf": "",
    "three_d_var": """analysis = "neural_da.analysis"
[neural]
method = "three_d_var"
latent = "latent/small.safetensors"
factor = 10.0
""",
}


@dataclass(frozen=True)
class Experiment:
    """An experiment file and its work folder."""

    path: Path
    work: Path

    @property
    def settings(self) -> Settings:
        return config.decode(self.path.read_text(), Settings, str(self.path))

    @property
    def folder(self) -> Path:
        return self.work / "tiny"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in ("MACHINE", "MPIEXEC")}
        return kept | {"PYTHON": sys.executable, "WORK": str(self.work), "RANKS": str(RANKS), "LOCK_WAIT": "30"}

    def start(self, script: str = "cycle.sh", before: str = "", after: str = "") -> subprocess.Popen:
        """Start a script of the corridor in its own process group; `before` is shell text run ahead of it.

        `after` is what follows the experiment file on the command line.
        """
        command = f'{before}\nexec "{CHECKOUT}/run/{script}" "{self.path}" {after}'
        return subprocess.Popen(["bash", "-c", command], env=self.environment, cwd=self.work, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

    def run(self, script: str = "cycle.sh", before: str = "", after: str = "",
            limit_s: float = CYCLE_LIMIT_S) -> subprocess.CompletedProcess:
        """The same to its end; a run that hangs is killed and fails the test."""
        process = self.start(script, before, after)
        try:
            out, err = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            kill(process)
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def program(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run one program of the house by hand."""
        return subprocess.run([sys.executable, "-m", *arguments], env=self.environment, cwd=CHECKOUT, text=True,
                              capture_output=True, timeout=CYCLE_LIMIT_S)


def kill(process: subprocess.Popen) -> None:
    """kill -9 of the whole process group."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def make(work: Path, text: str = TEXT) -> Experiment:
    """Write experiment file, truth and the climate that the first members come from, and make the first ensemble."""
    work.mkdir(parents=True, exist_ok=True)
    path = work / "tiny.toml"
    path.write_text(text)
    made = Experiment(path, work)
    settings = made.settings
    space = settings.state.space(settings.grid.grid())
    for when in settings.experiment.times():
        state.write(work / "truth" / f"{times.name(when)}.nc", smooth_state(space, 0, when))
    first = START.replace(year=1988)
    for member in range(settings.experiment.members):
        when = first + member * timedelta(hours=12)
        state.write(work / "climate" / f"{times.name(when)}.nc", smooth_state(space, 1 + member, when))
    static.write(work / "climate" / "static.nc", land_static(space.grid))
    if "[neural]" in text:
        write_latent(work / "latent" / "small.safetensors")
    done = made.program("model_server", "initial", str(path))
    assert done.returncode == 0, done.stderr
    return made


def smooth_state(space: StateSpace, seed: int, when: datetime) -> State:
    """Five waves around a climate, the same pattern in all channels: eight members can span what the truth may be."""
    rng = np.random.default_rng(seed)
    lat, lon = np.deg2rad(space.grid.lat)[:, None], np.deg2rad(space.grid.lon)[None, :]
    waves = [np.cos(lat) ** m * np.sin((n - m) * lat + a) * np.cos(m * lon + b)
             for m, n, a, b in [(0, 2, 0.3, 0), (1, 2, 0.1, 1), (1, 3, 2, 2), (2, 3, 1, 3), (2, 4, 0, 4)]]
    mean, scale = (np.array([CLIMATE[channel.variable][i] for channel in space.channels]) for i in (0, 1))
    pattern = np.einsum("w,wij->ij", rng.standard_normal(len(waves)), np.array(waves))
    return State(space, mean[:, None, None] + scale[:, None, None] * pattern, when)


def land_static(grid: Grid) -> Static:
    """Flat; half of it land."""
    land = np.zeros(grid.shape)
    land[:, : grid.lon.size // 2] = 1.0
    return Static(grid, np.zeros(grid.shape), land)


def copy(work: Path, to: Path) -> Experiment:
    """A work folder with all that stands in it, elsewhere."""
    shutil.copytree(work, to / "work")
    return Experiment(to / "work" / "tiny.toml", to / "work")


def short_memory(made: Experiment, monthly: bool = False) -> None:
    """Let the members of finished cycles go."""
    made.path.write_text(f"{made.path.read_text()}[retention]\nmembers_hours = 0\nmonthly = {str(monthly).lower()}\n")


def bring(made: Experiment, name: str, code: str,
          described: str = 'PROGRAM = PROGRAMS["letkf_mpi.analysis"]') -> None:
    """Lay a package into the work folder, found with PYTHONPATH, whose program `name` makes the analysis."""
    (made.work / f"{name}.py").write_text(code)
    lay_package(made.work, name, described)
    made.path.write_text(made.path.read_text().replace("[run]\n", f'[run]\nanalysis = "{name}"\n'))


def processes_of(made: Experiment, module: str = "") -> list[int]:
    """Process ids of the programs at work on this experiment, those of `module` where it is named."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"python" in command[0] and str(made.path).encode() in command and module.encode() in b" ".join(command):
            found.append(int(folder.name))
    return sorted(found)


def until(happened: Callable[[], bool], what: str, limit_s: float = CYCLE_LIMIT_S) -> None:
    """Wait until it has happened; fails the test after `limit_s`."""
    limit = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < limit, f"{what}: not after {limit_s:g} s"
        time.sleep(0.01)


def products(folder: Path, before: Path | None = None) -> list[Path]:
    """All NetCDF files below `folder`, or those that are not as they stand below `before`, which is a copy of it."""
    if before is None:
        return sorted(folder.rglob("*.nc"))
    stood = {path.relative_to(before): _as_it_is(path) for path in before.rglob("*.nc")}
    stand = {path.relative_to(folder): _as_it_is(path) for path in folder.rglob("*.nc")}
    assert stood.keys() <= stand.keys(), f"gone: {stood.keys() - stand.keys()}"
    return sorted(folder / name for name, now in stand.items() if now != stood.get(name))


def _as_it_is(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def data(folder: Path, before: Path | None = None) -> dict[str, dict[str, np.ndarray]]:
    """The values of `products`, by file and variable."""
    files = {}
    for path in products(folder, before):
        with netCDF4.Dataset(path) as dataset:
            dataset.set_auto_mask(False)
            files[str(path.relative_to(folder))] = {name: dataset[name][...] for name in dataset.variables}
    return files


def nothing_half_written(made: Experiment, before: Path | None = None) -> None:
    """Each of the `products` was finished by its writer and can be read in full."""
    assert before or data(made.folder)
    for path in products(made.folder, before):
        with netCDF4.Dataset(path) as dataset:
            assert getattr(dataset, "complete", None) == "yes", path


def told(made: Experiment) -> tuple[str, str, str]:
    """What status.json says: the state, that of the first stage that is not done, and the reason."""
    status = json.loads((made.folder / "status.json").read_text())
    stages = [stage["state"] for cycle in status["cycles"] for stage in cycle["stages"].values()]
    return status["state"], next((state for state in stages if state != "done"), "done"), status["reason"]


def resumes_to_the_same(made: Experiment, finished, after: str = "") -> None:
    """Run to its end, the experiment has the bits of the uninterrupted one."""
    done = made.run(after=after)
    assert done.returncode == 0, done.stdout + done.stderr
    same(data(made.folder), data(finished[0].folder))


def same(first: dict, second: dict) -> None:
    """Both have the same files with the same bits."""
    assert first.keys() == second.keys()
    for file in first:
        assert first[file].keys() == second[file].keys(), file
        for name in first[file]:
            assert first[file][name].tobytes() == second[file][name].tobytes(), f"{file}: {name} differs"


def member(made: Experiment, number: int = 3, kind: str = "background", at: str = TIMES[0]) -> Path:
    return made.folder / at / kind / f"m{number:04d}.nc"


def truncate(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
