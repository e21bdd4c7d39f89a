"""A small made experiment on disk for the program, with a latent beside it."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from networks.latent import card
from tests.letkf_mpi import case
from tests.letkf_mpi.case import Case
from tests.neural_da import made

CHECKOUT = Path(__file__).resolve().parents[2]
NOW = case.NOW
NEURAL = """
[neural]
method = "three_d_var"
latent = "latent/small.safetensors"
factor = 5.0
"""


def make(folder: Path, neural: str = NEURAL, mode: str = "research", members: int = 4,
         members_in: str = "files") -> Case:
    """`neural` are the sections that the program reads beside those of all programs."""
    experiment = case.make(folder, members, nlat=8, nlon=16, nobs=60, more=neural, mode=mode, members_in=members_in)
    write_latent(folder / "latent/small.safetensors")
    return experiment


def write_latent(path: Path, overlap: bool = False) -> None:
    """The latent of the made states, fitted from errors of another year."""
    space = made.SPACE
    when = datetime(1985, 1, 1, tzinfo=UTC)
    path.parent.mkdir(exist_ok=True)
    card.write(path, made.latent(overlap=overlap), card.Card(
        kind="eof", channels=tuple(channel.name for channel in space.channels), patch=made.PATCH, modes=40,
        overlap=overlap,
        grid=card.GridCard(lat=tuple(space.grid.lat.tolist()), lon=tuple(space.grid.lon.tolist())),
        errors=card.Errors(first=when, last=when.replace(month=12), count=40, lead_hours=24, natures=("made",),
                           weights="made", weights_sha256=""), command="made", source="made"))


def program(*arguments: object, path: Path | None = None, module: str = "neural_da.analysis",
            **environment: str) -> subprocess.CompletedProcess:
    """`python -m neural_da.analysis …`, or another module, in a process of its own, with further packages at `path`."""
    places = os.pathsep.join(map(str, filter(None, (CHECKOUT, path))))
    settings = dict(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", PYTHONPATH=places) | environment
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PMI_", "WORK"))}
    return subprocess.run([sys.executable, "-m", module, *map(str, arguments)], cwd=CHECKOUT, text=True,
                          env=inherited | settings, capture_output=True, timeout=120, check=False)
