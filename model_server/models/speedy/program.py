"""The compiled model, kept on disk, because every cycle starts a new process.

Building the model imports jcm (3 s), interpolates its boundary data (4 s), traces (2 s) and compiles (15 s).
The result, machine code and tables, is pickled and kept (`model_server.cache`) under a name made of everything
it depends on: versions, this package's source, truncation, processor.  The next process loads it in a fraction
of a second and never imports jcm.
"""

import importlib.metadata
import logging
import os
import pickle
import platform
import time
from dataclasses import dataclass
from pathlib import Path

# One thread inside each operation: members run side by side instead, and no sum depends on the number of cores.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax  # noqa: E402  reads the environment when imported
import numpy as np  # noqa: E402
from jax.experimental import serialize_executable  # noqa: E402

from model_server import cache  # noqa: E402
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
    path = cache.path(f"speedy-t{truncation}", ".pickle", _follows_from(*asked))
    stored = _read(path)
    if stored is None:
        began = time.monotonic()
        log.info("compiling SPEEDY T%d%s, once on this machine (about half a minute)", truncation,
                 " with parameters" if varied else "")
        stored = _build(*asked)
        cache.write(path, pickle.dumps(stored, protocol=pickle.HIGHEST_PROTOCOL))
        log.info("compiled in %.0f s, kept as %s", time.monotonic() - began, path)
    compiled = {
        name: serialize_executable.deserialize_and_load(*parts) for name, parts in stored.pop("executables").items()
    }
    surface = [jax.device_put(leaf) for leaf in stored.pop("surface")]
    return Program(compiled=compiled, surface=surface, **stored)


def _build(truncation: int, step_hours: int, varied: bool) -> dict:
    model = equations.build(truncation, step_hours, varied)
    executables = {
        name: serialize_executable.serialize(jax.jit(function).lower(*model.examples[name]).compile())
        for name, function in model.functions.items()
    }
    tables = ("start", "surface", "lat", "lon", "sigma", "orography", "land_sea_mask")
    return {"executables": executables} | {name: getattr(model, name) for name in tables}


def _read(path: Path) -> dict | None:
    if (kept := cache.read(path)) is None:
        return None
    try:
        return pickle.loads(kept)
    except Exception as fault:  # whatever a pickle of other versions of numpy raises; it can be made again
        log.warning("%s cannot be read (%s) and is made again", path, fault)
        return None


def _follows_from(truncation: int, step_hours: int, varied: bool) -> list[str]:
    """Everything the machine code depends on: machine code for another processor would crash or differ."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("jax", "jaxlib", "jcm", "dinosaur")]
    source = [Path(module).read_text() for module in (equations.__file__, parameters.__file__, __file__)]
    asked = f"{truncation} {step_hours} {varied}"
    return [*versions, *source, asked, os.environ["XLA_FLAGS"], platform.machine(), _processor()]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(sorted({line for line in lines if line.startswith(("flags", "model name", "Features"))}))


def _clock(seconds: int) -> tuple[np.int32, np.int32]:
    days, rest = divmod(int(seconds), 86_400)
    return np.int32(days), np.int32(rest)
