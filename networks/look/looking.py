"""From an experiment file to a table of what latents are worth, and fields to draw.

Of errors of forecasts that no latent was fitted to: what is lost of them and of the states, in SI units and as a share;
what still goes together; and what one observation does, beside covariances made of errors themselves.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from torch import Tensor

from contracts import balance
from contracts.balance import PHI, Agreement, T
from contracts.constants import HECTOPASCAL
from contracts.state import StateSpace
from networks.autoencoder import reading
from networks.autoencoder.network import Autoencoder
from networks.latent import card, making
from networks.latent.config import Period
from networks.latent.errors import Step
from networks.latent.operator import Operator
from networks.look import covariances, dependence
from networks.look.config import Settings
from networks.look.covariances import Column
from networks.look.observed import Observed

TOLD = ("temperature_500", "u_component_of_wind_500", "geopotential_500", "specific_humidity_700", "2m_temperature")
PIECE = 8  # states at once


class Row(NamedTuple):
    """One number of the table."""

    about: str
    what: str
    of: str
    value: float


@dataclass(frozen=True)
class Latent:
    """A latent as maps of dimensionless states: `encode` (B, channel * column) -> z, `decode` z -> what is left."""

    linear: Operator
    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]

    @classmethod
    def of(cls, found: Operator | Autoencoder) -> "Latent":
        if isinstance(found, Autoencoder):
            return cls(found.linear, found.encoded, found.decoded)
        return cls(found, found.project, found.put_back)

    def dimensionless(self, x: np.ndarray) -> Tensor:
        """xi of states (B, channel, lat, lon)."""
        return (torch.tensor(x, dtype=self.linear.mean.dtype).flatten(1) - self.linear.mean) / self.linear.scale


@dataclass(frozen=True)
class Sample:
    """`errors` float32 (n, channel, lat, lon) of forecasts, and the `truths`."""

    errors: np.ndarray
    truths: np.ndarray


@dataclass(frozen=True)
class Looked:
    """The table, and increments (channel, lat, lon) to draw by covariance and observation."""

    rows: list[Row]
    increments: dict[str, dict[Observed, np.ndarray]]


def look(settings: Settings, step: Step, every: timedelta) -> Looked:
    """All of it; raises UserError where a latent or states are not there, ValueError where levels are not."""
    space, chosen = settings.space, settings.look
    latents = read(settings)
    check = settings.latent.check
    if check is None:
        raise ValueError("look asks for errors that the latent was not fitted to: name their period, check")
    check = msgspec.structs.replace(check, errors=chosen.errors)
    samples = {lead: sample(settings, check, lead, step, every) for lead in {*chosen.leads_hours, day(settings)}}
    rows = [row for name, latent in latents.items()
            for row in lost(name, Latent.of(latent), samples[day(settings)], space)]
    for lead in chosen.leads_hours:
        rows += dependences(f"{lead} h", latents, samples[lead], space)
    fitted = msgspec.structs.replace(settings.latent.fit, errors=chosen.sample)
    errors = sample(settings, fitted, day(settings), step, every).errors
    truths = samples[day(settings)].truths
    columns = of_columns(settings, latents, errors, truths[0])
    rows += of_errors(samples[day(settings)].errors, settings)
    told, increments = increments_of(columns, settings)
    rows += told
    for name, latent in latents.items():
        if isinstance(latent, Autoencoder) and chosen.backgrounds:
            rows += flow(name, latent, truths[:: max(1, len(truths) // chosen.backgrounds)], settings)
    return Looked(rows, increments)


def day(settings: Settings) -> int:
    """Hours of the errors that the latent was fitted to."""
    return settings.latent.lead_hours


def read(settings: Settings) -> dict[str, Operator | Autoencoder]:
    """All latents by name, in the order of the table."""
    space, chosen = settings.space, settings.look
    found: dict[str, Operator | Autoencoder] = {
        name: Operator.of(card.read(settings.in_work(file), space))
        for name, file in {**chosen.others, settings.path.stem: settings.latent.file}.items()}
    if chosen.autoencoder:
        found["autoencoder"] = reading.read(settings.in_work(chosen.autoencoder), settings.path, space)
    return found


def sample(settings: Settings, period: Period, lead: int, step: Step, every: timedelta) -> Sample:
    """Errors of a period at a lead."""
    asked = msgspec.structs.replace(settings, latent=msgspec.structs.replace(settings.latent, lead_hours=lead))
    making.refuse_missing(asked, period, every)
    found = [(error.astype(np.float32), truth) for error, truth in making.errors_of(asked, period, step, every)]
    return Sample(*map(np.stack, zip(*found, strict=True)))


def lost(name: str, latent: Latent, of: Sample, space: StateSpace) -> Iterator[Row]:
    """Of errors and of states, root mean square over the globe: what is lost."""
    of_errors, of_states, whole = (np.zeros(len(space.channels)) for _ in range(3))
    for i in range(0, len(of.truths), PIECE):
        truth, error = of.truths[i : i + PIECE], of.errors[i : i + PIECE]
        xi, ahead = latent.dimensionless(truth), latent.dimensionless(truth + error)
        with torch.no_grad():
            r, r_ahead = (latent.decode(latent.encode(each)) - each for each in (xi, ahead))
        scale = latent.linear.scale
        of_states += mean_square(r * scale, space)
        of_errors += mean_square((r_ahead - r) * scale, space)
        whole += mean_square(torch.tensor(error).flatten(1), space)
    for number, channel in enumerate(space.channels):
        for about, square in (("lost of errors", of_errors), ("lost of states", of_states), ("errors", whole)):
            yield Row(about, channel.name, name, float(np.sqrt(square[number] / len(of.truths))))
    yield Row("share lost of errors", "mean over channels", name, float(np.sqrt(of_errors / whole).mean()))


def mean_square(fields: Tensor, space: StateSpace) -> np.ndarray:
    """(channel,) sum over fields (B, channel * column) of the mean over the globe."""
    squares = fields.double().numpy().reshape(-1, *space.shape) ** 2
    return (squares * space.grid.area_weights).mean((2, 3)).sum(0)


def dependences(lead: str, latents: Mapping[str, Operator | Autoencoder], of: Sample, space: StateSpace) -> list[Row]:
    """Of the grid's own numbers and of each latent's, of each patch grid by itself; and between patch grids."""
    found = {"grid points": [dependence.of(list(of.errors.transpose(2, 0, 3, 1).astype(np.float64)))]}
    between = {}
    for name, each in latents.items():
        grids = encoded(Latent.of(each), of)
        found[name] = [dependence.of(rows) for rows in grids]
        if len(grids) > 1:
            pairs = [[row / np.sqrt((row**2).mean((0, 1))) for row in rows] for rows in grids[:2]]
            between[name] = float(np.concatenate([dependence.closest(a, b)
                                                  for a, b in zip(*pairs, strict=True)]).mean())
    rows = [Row(f"correlation at {lead}", what, name, float(np.mean([getattr(one, field) for one in each])))
            for name, each in found.items()
            for field, what in (("within", "same place"), ("east", "next to the east"), ("north", "next to the north"),
                                ("east_same", "same number, to the east"))]
    return rows + [Row(f"correlation at {lead}", "next patch grid, half a patch away", name, value)
                   for name, value in between.items()]


def encoded(latent: Latent, of: Sample) -> list[list[np.ndarray]]:
    """Errors in the latent: of each patch grid one (error, patch, k) for each row of patches."""
    with torch.no_grad():
        z = torch.cat([latent.encode(latent.dimensionless(truth + error)) - latent.encode(latent.dimensionless(truth))
                       for truth, error in zip(of.truths[:, None], of.errors[:, None], strict=True)])
    parts = z.double().split([grid.size for grid in latent.linear.grids], dim=-1)
    return [[row.numpy() for row in grid.rows(part)]
            for grid, part in zip(latent.linear.grids, parts, strict=True)]


def of_columns(settings: Settings, latents: Mapping[str, Operator | Autoencoder], errors: np.ndarray,
               background: np.ndarray) -> dict[str, Column]:
    """The covariances that are looked at."""
    space = settings.space

    def taper(h: np.ndarray) -> np.ndarray:
        _, row, place = np.argwhere(h).T
        weights = np.abs(h[h != 0])
        lat = float(weights @ space.grid.lat[row] / weights.sum())
        return np.exp(-0.5 * (balance.distance_km(space, lat, space.grid.lon[place[0]]) / settings.look.taper_km) ** 2)

    found = {name: covariances.of_autoencoder(each, background) if isinstance(each, Autoencoder)
             else covariances.of_latent(each) for name, each in latents.items()}
    return found | {"sample": covariances.of_sample(errors), "sample, tapered": covariances.of_sample(errors, taper),
                    "zonal": covariances.zonal(errors)}


def of_errors(errors: np.ndarray, settings: Settings) -> list[Row]:
    """Balance of the errors themselves, over the globe."""
    space, everywhere = settings.space, np.ones(settings.space.grid.shape, bool)
    level = settings.look.level_hpa * HECTOPASCAL
    fields = errors.astype(np.float64)
    return [*agreement("balance", "geostrophic", "errors", Agreement.of(
                balance.geostrophic(dx, space, level, everywhere) for dx in fields)),
            *agreement("balance", "hydrostatic", "errors", Agreement.of(
                balance.hydrostatic(dx, space, everywhere) for dx in fields))]


def increments_of(columns: Mapping[str, Column],
                  settings: Settings) -> tuple[list[Row], dict[str, dict[Observed, np.ndarray]]]:
    """Balance of the increments of single observations, all longitudes together, and one of each to draw, in units of
    the deviation of what is observed."""
    chosen, space = settings.look, settings.space
    lons = space.grid.lon[:: max(1, len(space.grid.lon) // chosen.longitudes)]
    rows: list[Row] = []
    drawn: dict[str, dict[Observed, np.ndarray]] = {}
    for name, column in columns.items():
        for variable, lat in ((PHI, chosen.latitude), (T, chosen.latitude), (PHI, 0.0), (T, 0.0)):
            each = [Observed(variable, chosen.level_hpa * HECTOPASCAL, lat, float(lon)) for lon in lons]
            found = [increment(column, one.operator(space)) for one in each]
            drawn.setdefault(name, {})[each[len(each) // 2]] = found[len(each) // 2]
            rows += balances(name, each, found, space)
    return rows, drawn


def balances(name: str, observed: list[Observed], increments: list[np.ndarray], space: StateSpace) -> Iterator[Row]:
    """Of the increments near their observations."""
    first = observed[0]
    where = [balance.near(space, one.lat, one.lon) for one in observed]
    pairs = list(zip(increments, where, strict=True))
    if abs(first.lat) > balance.TROPICS:
        yield from agreement(first.name, "geostrophic", name, Agreement.of(
            balance.geostrophic(dx, space, first.level, there) for dx, there in pairs))
    yield from agreement(first.name, "hydrostatic", name, Agreement.of(
        balance.hydrostatic(dx, space, there) for dx, there in pairs))
    energies = [balance.energy(dx, space) for dx in increments]
    share = np.mean([energy[there].sum() / energy.sum() for energy, there in zip(energies, where, strict=True)])
    yield Row(first.name, f"energy within {balance.NEAR_KM:g} km", name, float(share))


def agreement(about: str, what: str, name: str, found: Agreement) -> list[Row]:
    return [Row(about, f"{what} correlation", name, found.correlation), Row(about, f"{what} slope", name, found.slope)]


def increment(column: Column, h: np.ndarray) -> np.ndarray:
    """B h / sqrt(h B h)."""
    found = column(h)
    return found / np.sqrt((found * h).sum())


def flow(name: str, network: Autoencoder, backgrounds: np.ndarray, settings: Settings) -> list[Row]:
    """How much the increment of one observation changes from one background to another, over land and sea: its root
    mean square departure from the mean of all, in units of that mean's; and so the deviation of what is observed."""
    space, chosen = settings.space, settings.look
    land = making.source_of(settings).static().land_sea_mask > 0.5
    row = int(np.abs(space.grid.lat - chosen.latitude).argmin())
    rows = []
    for place, columns in (("land", np.flatnonzero(land[row])), ("sea", np.flatnonzero(~land[row]))):
        if not columns.size:
            continue
        lon = space.grid.lon[columns[len(columns) // 2]]
        observed = Observed(T, chosen.level_hpa * HECTOPASCAL, float(space.grid.lat[row]), float(lon))
        h = observed.operator(space)
        scale = network.linear.scale.numpy().reshape(space.shape)
        found = np.stack([covariances.of_autoencoder(network, x)(h) for x in backgrounds])
        deviation = np.sqrt((found * h).sum((1, 2, 3)))
        shapes = found / scale / deviation[:, None, None, None]
        mean = shapes.mean(0)
        change = np.sqrt(((shapes - mean) ** 2).sum((1, 2, 3)).mean() / (mean**2).sum())
        about = f"T{chosen.level_hpa:g} over {place}, {len(found)} backgrounds"
        rows += [Row(about, "change of the increment", name, float(change)),
                 Row(about, "change of the deviation", name, float(deviation.std() / deviation.mean()))]
    return rows
