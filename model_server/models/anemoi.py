"""Checkpoints of Anemoi, such as AIFS, by anemoi-inference.

    [model]
    name = "anemoi"
    options = { checkpoint = "weights/aifs.ckpt", sha256 = "d1a9…", begin = "weights/aifs_own.nc", device = "cuda" }

A checkpoint says what it reads and gives, its time step, how many states it reads, and its points; all else is refused
in words where it does not fit the experiment.  What can be computed of place and time (insolation, the sine of the
hour) anemoi-inference computes; constant fields (`lsm`, `z`, `sdor`) and what else no channel of [state] says come from
the file `begin`.

A checkpoint is a pickle: who loads it runs what stands in it.  So it is loaded only where the experiment names its
SHA-256, as its maker tells it; what it says of itself is read before, and is no pickle.

anemoi-inference: its runner `simple`, version 0.13.
"""

import hashlib
import logging
import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from contracts.config import Section
from contracts.errors import UserError, brief
from contracts.state import StateSpace
from model_server.models.foreign import beginning, device, exchange, stepped
from model_server.models.foreign.exchange import Exchange
from model_server.models.foreign.lexicon import ANEMOI
from model_server.models.foreign.stepped import Foreign, Periods

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

PACKAGE = "anemoi"


class Options(Section, frozen=True):
    """[model.options] of anemoi."""

    checkpoint: str  # the file
    sha256: str = ""  # of the file, as its maker tells it
    device: str = "cpu"  # or cuda, cuda:1
    precision: str = ""  # of what is multiplied, such as 32 or bf16; default: that of its training
    begin: str = ""  # a NetCDF file with what the model reads and [state] has not
    seen: tuple[datetime, datetime] | None = None  # first and last time of its training


def create(space: StateSpace, options: Options) -> Foreign:
    """The model in `space`; raises UserError where package, checkpoint, device, channels or points do not fit."""
    from anemoi.inference.checkpoint import Checkpoint

    where, path = device.named(options.device), _file(options)
    told = _told(Checkpoint, path)
    if told.latitudes is None or told.longitudes is None:
        raise UserError(f"{path}: does not say where its points are (grid {told.grid}); expected supporting arrays "
                        "latitudes and longitudes")
    computed = told.select_variables(include=["computed"])
    reads = tuple(name for name in told.variable_to_input_tensor_index if name not in computed)
    gives = tuple(told.output_tensor_index_to_variable[n] for n in sorted(told.output_tensor_index_to_variable))
    one = Exchange(space, ANEMOI, reads, gives,
                   exchange.order(told.latitudes, told.longitudes, space.grid, str(path)), str(path))
    begin = beginning.beside(one, options.begin)
    history = _history(told, path)
    run = _Run(_runner(path, options, where), told, one)
    log.info("%s: reads %s, computes %s, on %s", path, ", ".join(reads), ", ".join(computed) or "nothing", where)
    return Foreign(name=f"{PACKAGE}-{path.stem}", exchange=one, time_step=told.timestep, history=history, run=run,
                   begin=begin, identity={"checkpoint": options.sha256, "precision": options.precision},
                   seen=seen(options))


def seen(options: Options) -> Periods:
    """Times that its training saw, as far as the options say."""
    return stepped.told(options.seen)


class _Run:
    """A step of a checkpoint by its runner."""

    def __init__(self, runner: Any, told: Any, one: Exchange):
        self.runner, self.told, self.exchange = runner, told, one

    def __call__(self, fields: np.ndarray, time: datetime, seed: int) -> np.ndarray:
        """(give, point) of `fields` (history, read, point)."""
        import torch

        torch.manual_seed(seed)
        began = {"date": time.replace(tzinfo=None), "latitudes": self.told.latitudes,
                 "longitudes": self.told.longitudes,
                 "fields": {name: fields[:, number] for number, name in enumerate(self.exchange.reads)}}
        self.runner.reference_date = None  # that of the first member, otherwise
        later = next(iter(self.runner.run(input_states=began, lead_time=self.told.timestep)))
        return np.stack([np.asarray(later["fields"][name], np.float32) for name in self.exchange.gives])


def _file(options: Options) -> Path:
    """The checkpoint, once it is the one that the experiment names."""
    path = Path(os.path.expandvars(options.checkpoint)).expanduser()
    if not path.is_file():
        raise UserError(f"[model.options] checkpoint = {options.checkpoint!r}: there is no file {path}; those of AIFS "
                        "are downloaded from its page, `huggingface-cli download ecmwf/aifs-single-1.1 --local-dir "
                        "FOLDER`")
    with open(path, "rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if options.sha256 != found:
        raise UserError(f"{path}: to load a checkpoint is to run what stands in it, so that [model.options] sha256 "
                        f"must say which is meant: expected {options.sha256 or 'one'}, got {found}; name it where you "
                        "trust who made the file")
    return path


def _told(checkpoint: Any, path: Path) -> Any:
    """What the checkpoint says of itself."""
    try:
        found = checkpoint(str(path)).multi_dataset_metadata
    except Exception as error:  # of a zip file, of JSON, of names that are missed in it
        raise UserError(f"{path}: is no checkpoint for inference of Anemoi ({brief(error)})") from None
    if len(found) != 1:
        raise UserError(f"{path}: is of {len(found)} data sets, {', '.join(found)}; expected one")
    return next(iter(found.values()))


def _history(told: Any, path: Path) -> int:
    """How many states it reads."""
    if told.multi_step_output != 1:
        raise UserError(f"{path}: gives {told.multi_step_output} times at once; expected one")
    return stepped.history(told.lagged, told.timestep, f"{path}:")


def _runner(path: Path, options: Options, where: "torch.device") -> Any:
    """anemoi-inference's, with the model loaded."""
    from anemoi.inference.runners.simple import SimpleRunner

    logging.getLogger("anemoi").setLevel(logging.ERROR)  # it tells each step of each member in twenty lines
    try:
        runner = SimpleRunner(str(path), device=str(where), precision=options.precision or None)
        runner.model  # noqa: B018  loads it
    except ImportError as error:
        raise UserError(f"{path}: needs a package that is not installed ({error}); install in this environment the "
                        "versions that it was made with: anemoi-inference inspect --requirements tells them") from None
    except Exception as error:  # whatever a pickle of another version does
        raise UserError(f"{path}: cannot be loaded ({brief(error)}); compare the versions of this environment with "
                        "those that `anemoi-inference validate` tells") from None
    return runner
