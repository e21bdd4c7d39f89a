"""Any forecast model on a grid of its own, finer or coarser than the experiment's, whose increments alone it takes.

    x          a member on the model's grid, kept in its restart with all that the model resolves
    R x        what the programs see, on the experiment's grid
    increment  d = analysis - R x
    x'         = M(x + P d)

A cell that is taken from finer ones holds their mean, what is brought to a finer grid is interpolated bilinearly
(`networks.data.regrid`): R is the one and P the other.  Without an increment x stays as it is to the last bit, and the
member runs on as if nobody had looked.  An experiment begins with P of its first states.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import numpy as np

from contracts import humidity
from contracts.errors import UserError
from contracts.state import StateSpace
from model_server.models.around import Around, with_error
from model_server.models.base import Batch, ForecastModel, NatureModel, Restart
from networks.data.regrid import Regridding

OWN, OWN_BEFORE, GIVEN = "own_grid", "own_grid_before", "own_grid_given"  # in a restart: x, x one step earlier, R x
NAMES = (OWN, OWN_BEFORE, GIVEN)


@dataclass(frozen=True)
class Regridded(Around):
    """`model` on the grid of its own space, in the states of an experiment on another one, `outer`.

    With `shifted` the earlier of two states gets the increment of the present one too ([model] before).
    """

    outer: StateSpace
    shifted: bool

    @property
    def space(self) -> StateSpace:
        return self.outer

    @property
    def keeps_restart(self) -> bool:
        return True

    def step(self, batch: Batch) -> Batch:
        """One member's fields go from grid to grid at a time, so that its bits do not depend on its neighbours."""
        kept = [dict(own or {}) for own in batch.restart]
        befores = [None] * len(kept) if batch.before is None else list(batch.before)
        taken = [self._taken_up(*one) for one in zip(batch.data, befores, kept, strict=True)]
        own = np.stack([present for present, _ in taken])
        before = np.stack([earlier for _, earlier in taken if earlier is not None]) if self.model.history == 2 else None
        inner = tuple(self._of_model(one) if self.model.keeps_restart else None for one in kept)
        later = self.model.step(replace(batch, data=own, before=before, restart=inner))
        fields = later.data.astype(np.float32, copy=False)
        given = np.stack([self._moved(self._down, one) for one in fields])
        restart = tuple(self._kept(*one) for one in zip(later.restart, fields, own, given, strict=True))
        return replace(later, data=given, restart=restart, before=None)

    def _taken_up(self, data: np.ndarray, before: np.ndarray | None, kept: Restart
                  ) -> tuple[np.ndarray, np.ndarray | None]:
        """x + P d of a member, and what it was one step earlier, where the model asks for that."""
        if OWN not in kept:
            return self._moved(self._up, data), None if before is None else self._moved(self._up, before)
        change = self._moved(self._up, data - kept[GIVEN])
        present, _ = with_error(kept[OWN], change, self._humid)
        if before is None:
            return present, None
        earlier = kept[OWN_BEFORE]
        return present, with_error(earlier, change, self._humid)[0] if self.shifted else earlier

    def _kept(self, inner: Restart | None, fields: np.ndarray, own: np.ndarray, given: np.ndarray) -> Restart:
        earlier = {OWN_BEFORE: own} if self.model.history == 2 else {}
        return {**(inner or {}), OWN: fields, GIVEN: given, **earlier}

    def _of_model(self, kept: Mapping[str, np.ndarray]) -> Restart:
        """What the model itself keeps."""
        return {name: array for name, array in kept.items() if name not in NAMES}

    def _moved(self, regridding: Regridding, data: np.ndarray) -> np.ndarray:
        """float32 (channel, lat, lon) on another grid."""
        found = np.empty((len(data), *regridding.target.shape), np.float32)
        for is_wind in (False, True):
            rows = [number for number, channel in enumerate(self.outer.channels) if channel.is_wind == is_wind]
            found[rows] = regridding(data[rows], is_wind)
        return found

    @cached_property
    def _down(self) -> Regridding:
        return onto(self.model.space, self.outer)

    @cached_property
    def _up(self) -> Regridding:
        return onto(self.outer, self.model.space)

    @cached_property
    def _humid(self) -> np.ndarray:
        return humidity.humid(self.outer)


def onto(source: StateSpace, target: StateSpace) -> Regridding:
    """Means of cells where the target is coarser, bilinear where it is finer."""
    coarser = target.grid.size < source.grid.size
    return Regridding(source.grid, target.grid, "conservative" if coarser else "bilinear")


def regridded(model: ForecastModel, space: StateSpace, shifted: bool) -> ForecastModel:
    """`model` in the states of `space`; raises UserError where it keeps a state of its own that nobody can regrid."""
    if isinstance(model, NatureModel):
        raise UserError(f"[model.grid]: {model.name} has a resolution of its own by its options; leave the section out")
    return cast(ForecastModel, Regridded(model, space, shifted))
