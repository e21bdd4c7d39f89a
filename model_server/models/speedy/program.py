"""The compiled model, kept on disk, because every cycle starts a new process.

Building the model imports jcm (3 s), interpolates its boundary data (4 s), traces (2 s) and compiles (15 s).
The result, machine code and tables, is pickled into the user's cache folder under a name made of everything
it depends on: versions, this package's source, truncation, processor.  The next process loads it in a fraction
of a second and never imports jcm.  Deleting the folder is always safe.
"""

import hashlib
import importlib.metadata
import logging
import os
import pickle
import platform
import stat
import time
from dataclasses import dataclass
from pathlib import Path

# One thread inside each operation: members run side by side instead, and no sum depends on the number of cores.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax  # noqa: E402  reads the environment when imported
import numpy as np  # noqa: E402
from jax.experimental import serialize_executable  # noqa: E402

from model_server.models.speedy import equations, parameters  # noqa: E402

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Program:
    """Compiled functions of `equations.Equations` and its tables; arrays in, arrays out."""

    start: equations.Native
    lat: np.ndarray  # (lat,) degrees, the Gaussian grid
    lon: np.ndarray
    sigma: np.ndarray
    orography: np.ndarray  # m (lon, lat)
    land_sea_mask: np.ndarray  # (lon, lat)
    surface: list
    compiled: dict

    def advance(self, native: equations.Native, seconds: int, *values: np.ndarray) -> equations.Native:
        """A step, of six hours unless it was built for others, from `seconds` since 1970-01-01 UTC; a varied program
        takes the `values` float32 (parameter,) of its parameters."""
        return self.compiled["advance"](native, *_clock(seconds), self.surface, *values)

    def diagnose(self, native: equations.Native, seconds: int) -> dict[str, np.ndarray]:
        """Fields on the Gaussian grid, (level, lon, lat) or (lon, lat), float32."""
        fields = self.compiled["diagnose"](native, *_clock(seconds), self.surface)
        return {name: np.asarray(field) for name, field in fields.items()}

    def add(self, native: equations.Native, increments: dict[str, np.ndarray]) -> equations.Native:
        return self.compiled["add"](native, increments)

    def settle(self, native: equations.Native) -> equations.Native:
        return self.compiled["settle"](native)


def load(truncation: int, step_hours: int = equations.STEP_HOURS, varied: bool = False) -> Program:
    """The program at `truncation` from the cache, or built and put there; `varied` as for `equations.build`."""
    asked = (truncation, step_hours, varied)
    path = cache_folder() / f"speedy-t{truncation}-{_fingerprint(*asked)}.pickle"
    stored = _read(path)
    if stored is None:
        began = time.monotonic()
        log.info("compiling SPEEDY T%d%s, once on this machine (about half a minute)", truncation,
                 " with parameters" if varied else "")
        stored = _build(*asked)
        _write(path, stored)
        log.info("compiled in %.0f s, kept as %s", time.monotonic() - began, path)
    compiled = {
        name: serialize_executable.deserialize_and_load(*parts) for name, parts in stored.pop("executables").items()
    }
    surface = [jax.device_put(leaf) for leaf in stored.pop("surface")]
    return Program(compiled=compiled, surface=surface, **stored)


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/model_server`, by default `~/.cache/model_server`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "model_server"


def _build(truncation: int, step_hours: int, varied: bool) -> dict:
    model = equations.build(truncation, step_hours, varied)
    executables = {
        name: serialize_executable.serialize(jax.jit(function).lower(*model.examples[name]).compile())
        for name, function in model.functions.items()
    }
    tables = ("start", "surface", "lat", "lon", "sigma", "orography", "land_sea_mask")
    return {"executables": executables} | {name: getattr(model, name) for name in tables}


def _read(path: Path) -> dict | None:
    try:
        if not all(map(_is_ours_alone, (path, path.parent))):
            log.warning("%s, or its folder, can be written by others, who could put any program there: it is made "
                        "again; chmod go-w both", path)
            return None
        return pickle.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except Exception as fault:  # whatever a damaged pickle raises; it can be made again
        log.warning("%s cannot be read (%s) and is made again", path, fault)
        return None


def _is_ours_alone(path: Path) -> bool:
    """Whether nobody else can have written it: a pickle runs what its writer wants."""
    found = path.stat()
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _write(path: Path, stored: dict) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.touch(mode=0o600)
        temporary.write_bytes(pickle.dumps(stored, protocol=pickle.HIGHEST_PROTOCOL))
        temporary.replace(path)
    except OSError as fault:
        log.warning("the compiled model cannot be kept (%s); every process will compile it again", fault)
        temporary.unlink(missing_ok=True)


def _fingerprint(truncation: int, step_hours: int, varied: bool) -> str:
    """Of everything the machine code depends on: machine code for another processor would crash or differ."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("jax", "jaxlib", "jcm", "dinosaur")]
    source = [Path(module).read_text() for module in (equations.__file__, parameters.__file__, __file__)]
    asked = f"{truncation} {step_hours} {varied}"
    parts = [*versions, *source, asked, os.environ["XLA_FLAGS"], platform.machine(), _processor()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(sorted({line for line in lines if line.startswith(("flags", "model name", "Features"))}))


def _clock(seconds: int) -> tuple[np.int32, np.int32]:
    days, rest = divmod(int(seconds), 86_400)
    return np.int32(days), np.int32(rest)
