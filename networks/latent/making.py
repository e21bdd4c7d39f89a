"""From an experiment file to a latent: forecasts, their errors, the fit, and what it loses of errors of other years."""

import hashlib
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import torch

from contracts import netcdf, progress
from contracts.errors import UserError
from networks import card as cards
from networks import passes, starter, unseen
from networks.checkpoint import card_path
from networks.data import sources
from networks.data.sources import NatureSource, Source
from networks.latent import card, config, eof, errors
from networks.latent.config import Period, Settings
from networks.latent.eof import Eof, Moments
from networks.latent.errors import Step
from networks.latent.operator import Operator

log = logging.getLogger("networks.latent")
TOLD = ("temperature_500", "u_component_of_wind_500", "geopotential_500", "specific_humidity_700")


def make(path: Path) -> Eof:
    """Fit and write the latent of the experiment file `path`; raises UserError where states or weights do not fit."""
    settings = config.load(path)
    chosen, space = settings.latent, settings.space
    weights = starter.find(chosen.checkpoint, ".safetensors")
    card_of_weights, emulator = cards.read(card_path(weights), weights), passes.emulator_of(weights, space)
    unseen.refuse_seen(weights, card_of_weights.seen, *chosen.fit.whole)
    step, every = passes.Passes.of([emulator]).step, emulator.step
    scale = np.array([card_of_weights.normalization[channel.name].tendency_std or np.nan for channel in space.channels])
    try:
        for period in filter(None, (chosen.fit, chosen.check)):
            refuse_missing(settings, period, every)
        latent = fit(settings, step, every, scale)
        floor = lost(settings, step, every, latent) if chosen.check else {}
    except ValueError as error:
        raise UserError(f"{path}: [latent] {error}") from None
    for name in (name for name in TOLD if name in floor):
        log.info("%s: %.4g lost of errors that it was not fitted to", name, floor[name])
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    first, last = chosen.fit.whole
    made = card.write(settings.path, latent, card.Card(
        kind=chosen.kind, channels=tuple(channel.name for channel in space.channels), patch=chosen.patch,
        modes=chosen.modes, overlap=chosen.overlap,
        grid=card.GridCard(lat=tuple(space.grid.lat.tolist()), lon=tuple(space.grid.lon.tolist())),
        errors=card.Errors(first=first, last=last, count=chosen.fit.errors, lead_hours=chosen.lead_hours,
                           natures=chosen.natures or (chosen.source,), weights=card_of_weights.name,
                           weights_sha256=sha256),
        command=f"python -m networks latent {path}", source=netcdf.version(), floor=floor))
    log.info("%s: %d modes of each patch of %d x %d%s, sha256 %s…", settings.path, latent.modes, *latent.patch,
             ", on four grids" if latent.overlap else "", made.sha256[:12])
    return latent


def fit(settings: Settings, step: Step, every: timedelta, scale: np.ndarray) -> Eof:
    """The latent of the errors of [latent] fit."""
    chosen, space = settings.latent, settings.space
    truths = np.zeros(space.shape)

    def told() -> Iterator[np.ndarray]:
        for error, truth in errors_of(settings, chosen.fit, step, every):
            np.add(truths, truth, out=truths)
            yield error

    moments = Moments.of(told(), space, chosen.patch, scale, chosen.overlap)
    return eof.fit(moments, space, chosen.patch, scale, truths / moments.count, chosen.modes, chosen.overlap)


def lost(settings: Settings, step: Step, every: timedelta, latent: Eof) -> dict[str, float]:
    """Of each channel the root mean square over the globe, in its units, of what the latent loses of the errors of
    [latent] check."""
    maps, space = Operator.of(latent, dtype=torch.float64), settings.space
    assert settings.latent.check is not None
    squares, count = np.zeros(len(space.channels)), 0
    for error, _ in errors_of(settings, settings.latent.check, step, every):
        xi = torch.tensor(error.reshape(-1), dtype=torch.float64) / maps.scale
        rest = (maps.scale * (xi - maps.put_back(maps.project(xi)))).numpy().reshape(space.shape)
        squares += (rest**2 * space.grid.area_weights).mean(axis=(1, 2))
        count += 1
    return {channel.name: float(root) for channel, root in zip(space.channels, np.sqrt(squares / count), strict=True)}


def errors_of(settings: Settings, period: Period, step: Step,
              every: timedelta) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each error (channel, lat, lon) of the period with the truth at its end, with progress in the log."""
    source = source_of(settings)
    groups = progress.reported(errors.groups(begins(settings, period, every)), f"groups of {errors.AT_ONCE} forecasts",
                               log)
    return errors.forecast_errors(lambda time: source.read([time])[0], step, groups, every, settings.latent.lead)


def refuse_missing(settings: Settings, period: Period, every: timedelta) -> None:
    """Raises UserError where states of the period are not there, and ValueError where it has too few forecasts."""
    wanted = [time for begin in begins(settings, period, every) for time in (begin, begin + settings.latent.lead)]
    source = source_of(settings)
    if not isinstance(source, NatureSource):
        source.read([wanted[0], wanted[-1]])
    elif missing := source.missing(wanted):
        raise UserError(f"{missing[0]}: no such file; {len(missing)} of {len(wanted)} states that [latent] asks for "
                        "are missing (python -m model_server nature makes them)")


def begins(settings: Settings, period: Period, every: timedelta) -> list[datetime]:
    """When the forecasts of the period begin; ValueError where the network's step `every` does not divide their lead,
    or where there are too few."""
    chosen = settings.latent
    if chosen.lead % every:
        raise ValueError(f"lead_hours = {chosen.lead_hours} is no multiple of the network's step of "
                         f"{every / timedelta(hours=1):g} h")
    return errors.starts(*period.whole, chosen.lead, settings.experiment.step, period.errors)


def source_of(settings: Settings) -> Source:
    """Where the states are that are forecast and verified with; raises UserError where there is nothing."""
    chosen = settings.latent
    source = sources.of(chosen.source, settings.space, tuple(map(settings.in_work, chosen.natures)), chosen.data)
    assert source is not None
    return source
