"""The SPEEDY general circulation model (JCM) as a forecast model and as a nature run.

The model's own state is spectral, on eight sigma levels; what the programs exchange are fields on pressure
levels.  Rewriting the full model state from those would lose the boundary layer and the stratosphere at each
cycle, so a member keeps its own state and the analysis changes it by its increments only:

    increment = analysis - what this member's last step gave out
    own state += increment, on the Gaussian grid and the sigma levels       (u, v, T, q, ln ps; q stays >= 0)
    own state  = a step later, of six hours or as the options say
    output     = own state on pressure levels and the output grid

Without an analysis the increment is zero to the last bit, and the member runs on as if nobody had looked.
Increments of geopotential and of the fields at 2 m and 10 m are not used: the model derives those.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Annotated, Literal

import msgspec
import numpy as np

from contracts import control_groups, times
from contracts.config import Section
from contracts.errors import UserError
from contracts.state import StateSpace
from contracts.static import Static
from model_server.models.base import Batch, Restart
from model_server.models.speedy import program as speedy_program
from model_server.models.speedy.equations import STEP_HOURS, Native
from model_server.models.speedy.exchange import INCREMENTED, LEVEL_NAMES, SURFACE_NAMES, Exchange
from model_server.models.speedy.parameters import PARAMETERS as PARAMETERS

FIELDS = "fields"  # in a restart, beside the native state: what the last step gave out, (channel, lat, lon)


class Options(Section, frozen=True):
    """[model.options] of speedy: its triangular truncation (T21: 64 x 32 points, T31: 96 x 48); how far a step goes, a
    multiple of the 40 minutes of its dynamics: 2 h where the background is wanted at slots."""

    truncation: Annotated[int, msgspec.Meta(ge=21, le=85)] = 21
    step_hours: Literal[2, 6] = 6


@dataclass(frozen=True)
class Speedy:
    """SPEEDY between the fields of `space` and its own spectral state."""

    space: StateSpace
    program: speedy_program.Program
    truncation: int
    time_step: timedelta = timedelta(hours=STEP_HOURS)
    history: int = 1
    keeps_restart: bool = True

    @property
    def name(self) -> str:
        return f"speedy-t{self.truncation}"

    def step(self, batch: Batch) -> Batch:
        """With the parameters of each member where the batch has them; then the step is compiled anew for them, and
        usual values give the bits of no parameters only to rounding."""
        program, values = self.program, list[tuple[np.ndarray, ...]]([()] * len(batch.data))
        if batch.parameters is not None:
            program, values = self._varied, [(of_one,) for of_one in batch.parameters.astype(np.float32)]

        def member(data: np.ndarray, restart: Restart, values: Sequence[np.ndarray]) -> Restart:
            native = self.take_up(data, restart, batch.time)
            return self._give_out(program.advance(native, times.to_seconds(batch.time), *values), later)

        later = batch.time + self.time_step
        return _side_by_side(member, later, batch.data, batch.restart, values)

    def cold_start(self, time: datetime) -> Batch:
        return self.adopt([self.program.start], time)

    def adopt(self, restarts: Sequence[Restart], time: datetime) -> Batch:
        """Spectra are cut or padded to this truncation; surface pressure follows this model's orography."""

        def member(restart: Restart) -> Restart:
            own = {name: _resized(restart[name], like.shape[-2:]) for name, like in self.program.start.items()}
            return self._give_out(self.program.settle(own), time)

        return _side_by_side(member, time, restarts)

    @property
    def static(self) -> Static:
        """The model's own orography and mask on the output grid."""
        return self._exchange.static

    def take_up(self, data: np.ndarray, restart: Restart, time: datetime) -> Native:
        """The native state of a member whose fields the analysis may have changed to `data`."""
        native = native_of(restart)
        if np.array_equal(data, restart[FIELDS]):
            return native
        pressure = self.program.diagnose(native, times.to_seconds(time))["surface_pressure"]
        return self.program.add(native, self._exchange.increments(data, restart[FIELDS], pressure))

    def _give_out(self, native: Native, time: datetime) -> Restart:
        """The native state as host arrays together with its fields in `space`."""
        kept = {name: np.asarray(array) for name, array in native.items()}
        return kept | {FIELDS: self._exchange.fields(self.program.diagnose(kept, times.to_seconds(time)))}

    @cached_property
    def _exchange(self) -> Exchange:
        return Exchange(self.space, self.program)

    @cached_property
    def _varied(self) -> speedy_program.Program:
        return speedy_program.load(self.truncation, self.time_step // timedelta(hours=1), varied=True)


def create(space: StateSpace, options: Options) -> Speedy:
    """Load or compile the model; raises UserError where `space` asks for what SPEEDY does not have."""
    for name in space.variables:
        if name not in LEVEL_NAMES and name not in SURFACE_NAMES:
            raise UserError(f"[state]: speedy has no {name}; it has {', '.join([*LEVEL_NAMES, *SURFACE_NAMES])}")
    for name in INCREMENTED:
        if name not in space or len(space.index(name)) < 2:
            raise UserError(f"[state]: speedy needs {name} on two levels or more to take up an analysis")
    program = speedy_program.load(options.truncation, options.step_hours)
    return Speedy(space, program, options.truncation, timedelta(hours=options.step_hours))


def native_of(restart: Restart) -> Native:
    """The model's own state in a restart."""
    return {name: array for name, array in restart.items() if name != FIELDS}


def _side_by_side(member: Callable[..., Restart], time: datetime, *arguments: Iterable) -> Batch:
    """Every member by itself, as many at once as it may have cores; compiled code runs without Python's lock."""
    with ThreadPoolExecutor(control_groups.processors()) as pool:
        results = tuple(pool.map(member, *arguments))
    return Batch(time, np.stack([restart[FIELDS] for restart in results]), results)


def _resized(spectrum: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Spectral coefficients (level, zonal, total) cut or padded with zeros; low wavenumbers stand first."""
    cut = spectrum[:, : shape[0], : shape[1]]
    return np.pad(cut, ((0, 0), (0, shape[0] - cut.shape[1]), (0, shape[1] - cut.shape[2])))
