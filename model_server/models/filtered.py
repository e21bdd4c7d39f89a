"""Any forecast model with a spectral filter behind each step: small scales that a network makes up, or that a few
observations left in the analysis, are taken out before they grow."""

from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from contracts.errors import UserError
from model_server.config import SpectralFilter
from model_server.models.around import Around
from model_server.models.base import Batch, ForecastModel
from networks import harmonics
from networks.harmonics import Filter


@dataclass(frozen=True)
class Filtered(Around):
    """`model`, whose fields, or whose change of the fields, are filtered after each step.

    A model that keeps a state of its own takes the filter up as it does an analysis: by the increment of its fields.
    """

    filter: Filter
    only_change: bool

    def step(self, batch: Batch) -> Batch:
        """One member after the other, so that its bits do not depend on its neighbours."""
        later = self.model.step(batch)
        data = [self._filtered(*pair) for pair in zip(batch.data, later.data, strict=True)]
        return replace(later, data=np.stack(data).astype(np.float32))

    def _filtered(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        if self.only_change:
            return before + self.filter.state(after.astype(np.float64) - before)
        return self.filter.state(after)


def filtered(model: ForecastModel, settings: SpectralFilter) -> ForecastModel:
    """The model with the filter of `settings`; raises UserError where its grid is too coarse for it."""
    sigma = harmonics.response(settings.truncation, settings.order, settings.strength)
    try:
        frozen = Filtered(model, Filter.of(model.space, sigma), settings.of == "change")
    except ValueError as error:
        raise UserError(f"[model] spectral_filter: {error}") from None
    return cast(ForecastModel, frozen)  # whose attributes nobody sets
