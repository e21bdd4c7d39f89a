"""What can be said of a state, and of those to come, from observations alone: networks beside what needs none.

    python -m tests.benchmarks.observed_skill EXPERIMENT.toml --footprints FILE --to FILE.csv [--o2a WEIGHTS]

EXPERIMENT names the truth ([verify]), the dates, the weights of an o2f and the climate ([predict]).  The stations of
the footprints see the truth of each date, and of one step before, with errors from the seed and the date; those that
the o2f withholds see nothing.  Its forecasts stand beside

    interpolation    optimal interpolation at the date, and the model from there
    corrected        the same, corrected by the network --o2a
    climate          the mean of the date
    shuffled         the o2f, where stations south of 20 S observe what they would on another date

FILE.csv holds by method, lead, channel and region the root mean square over all dates, how much more it is than that
of the interpolation, in per cent of each date's, and half a 95 per cent interval of that over the dates (Student's t),
which are taken to be independent. Regions: the globe, north and south of 20 degrees, near stations (300 km), in voids
(1000 km and more from all), at those withheld (the nearest points of the grid, 300 km and more from all others).
"""

import csv
import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_array

from contracts import config, paths, program, state, times
from contracts.sphere import great_circle_km, unit_vectors
from networks import starter
from networks.climax import make_emulator
from networks.o2a import deviation, reading
from networks.o2a.network import Given
from networks.o2a.optimal import Optimal, seen_covariance
from networks.o2f import stations
from networks.o2f.network import Seen
from networks.o2f.stations import Known, Stations
from networks.o2l import footprints, gridding
from neural_da.predict_config import Settings, load
from neural_da.predicting import Predictor
from verify.blocks import interval
from verify.config import Settings as Verified

log = logging.getLogger("observed_skill")
NEAR, VOID = 300.0, 1000.0  # km
SOUTH = -20.0  # degrees north
OTHER = 7  # dates on, for what is shuffled


@dataclass(frozen=True)
class World:
    """The truth and the stations of an experiment."""

    settings: Settings
    verified: Verified
    predictor: Predictor
    seen: footprints.Footprints

    def truth(self, time: datetime) -> np.ndarray:
        """(channel, lat, lon)"""
        path = self.verified.truth(time)
        assert path is not None
        return state.read(path, self.settings.space, time).data.astype(np.float64)

    def errors(self, time: datetime) -> np.ndarray:
        """(n,) of the observations of `time`, in units of their deviation."""
        return np.random.default_rng((self.settings.experiment.seed, int(times.name(time)))).standard_normal(
            len(self.seen))

    @cached_property
    def known(self) -> Known:
        return Known.among(self.seen, len(self.settings.space.channels), self.predictor.known)

    @cached_property
    def withheld(self) -> np.ndarray:
        """(n,) bool, of all observations: of stations that the o2f withholds."""
        own = self.predictor.card.network
        return stations.withheld(self.seen.station, own.withheld, own.seed)

    @cached_property
    def place(self) -> np.ndarray:
        """(n,) the point of the grid that each observation sees most of."""
        rows = self.seen.rows
        heaviest = [rows.indices[a:b][np.abs(rows.data[a:b]).argmax()] for a, b in zip(rows.indptr, rows.indptr[1:],
                                                                                       strict=False)]
        return np.array(heaviest) % self.settings.space.grid.size

    @cached_property
    def regions(self) -> dict[str, np.ndarray]:
        """Points of the grid (column,) bool by name."""
        grid = self.settings.space.grid
        lat, lon = (each.ravel() for each in np.meshgrid(grid.lat, grid.lon, indexing="ij"))
        points = unit_vectors(lat, lon)
        far, own = (np.min([great_circle_km(points, points[place]) for place in np.unique(self.place[chosen])], axis=0)
                    for chosen in (~self.withheld, self.withheld))
        return {"globe": np.ones(len(lat), bool), "north": lat > -SOUTH, "south": lat < SOUTH, "near": far < NEAR,
                "void": far >= VOID, "withheld": (own < 1.0) & (far >= NEAR)}


@dataclass
class Errors:
    """Mean squares by method, lead in hours and region, (channel,) of each date, weighted by area."""

    world: World
    found: dict[tuple[str, int, str], list[np.ndarray]] = field(default_factory=dict)

    def add(self, method: str, lead: int, x: np.ndarray, truth: np.ndarray) -> None:
        square = np.square(x - truth).reshape(len(x), -1)
        area = self.world.settings.space.grid.area_weights.ravel()
        for name, where in self.world.regions.items():
            self.found.setdefault((method, lead, name), []).append(square[:, where] @ area[where] / area[where].sum())

    def rows(self) -> Iterator[tuple[str, int, str, str, float, float, float]]:
        names = [channel.name for channel in self.world.settings.space.channels]
        for (method, lead, region), squares in sorted(self.found.items()):
            beside = self.found["interpolation", lead, region]
            change = 100 * (np.sqrt(np.array(squares) / beside) - 1)  # (date, channel)
            rmse = np.sqrt(np.mean(squares, axis=0))
            for channel, *values in zip(names, rmse, change.mean(axis=0), interval(change), strict=True):
                yield method, lead, region, channel, *map(float, values)


@dataclass(frozen=True)
class Interpolated:
    """Optimal interpolation with the stations that are not withheld, and the network that corrects it, if any."""

    world: World
    weights: Path | None

    @cached_property
    def kept(self) -> np.ndarray:
        return np.flatnonzero(~self.world.withheld)

    @cached_property
    def A(self) -> csr_array:
        prior = self.world.predictor.prior
        return gridding.in_scales(self.world.seen.rows, prior.scale.ravel())[self.kept]

    @cached_property
    def optimal(self) -> Optimal:
        prior = self.world.predictor.prior.astype(np.float32)
        return Optimal.of(prior.correlation, prior.space.shape, self.A, seen_covariance(prior.correlation, self.A))

    @cached_property
    def corrector(self):
        path = self.world.settings.experiment.in_work(self.world.settings.predict.climate)
        assert self.weights is not None
        return reading.read(self.weights, hashlib.sha256(path.read_bytes()).hexdigest(), self.world.settings.space,
                            self.world.settings.experiment)

    @cached_property
    def deviation(self) -> np.ndarray:
        prior, random = self.world.predictor.prior, np.random.default_rng(self.world.settings.experiment.seed)
        drawn = prior.correlation.apply(np.sqrt, random.standard_normal((self.corrector[1], *prior.space.shape)))
        seen = (self.A @ drawn.reshape(len(drawn), -1).T).T
        return deviation.of(drawn - self.optimal.analyses(seen + random.standard_normal(seen.shape)))

    def states(self, time: datetime) -> dict[str, np.ndarray]:
        """By method (channel, lat, lon)."""
        prior = self.world.predictor.prior
        mean, scale = prior.mean(time), prior.scale.astype(np.float64)
        truth = (self.world.truth(time) - mean) / scale
        d = self.A @ truth.ravel() + self.world.errors(time)[self.kept]
        z = self.optimal.analyses(d[None])
        found = {"interpolation": mean + scale * z[0]}
        if self.weights is not None:
            left = gridding.gridded(self.A, d - self.A @ z.ravel().astype(np.float64))
            given = Given(torch.from_numpy(left).unflatten(-1, z.shape[1:])[None], torch.from_numpy(z).float(),
                          torch.from_numpy(self.deviation)[None], np.array([times.to_seconds(time)]))
            with torch.no_grad():
                found["corrected"] = mean + scale * (z + self.corrector[0](given).numpy())[0]
        return found


@dataclass(frozen=True)
class Predicted:
    """Forecasts of the o2f."""

    world: World

    @cached_property
    def rows(self) -> Known:
        return self.world.known.select(~self.world.withheld[self.world.known.kept])

    def seen(self, time: datetime, other: datetime | None = None) -> Seen:
        """What is observed at `time`; of stations in the south, where it is given, what was at the `other`."""
        predictor, rows = self.world.predictor, self.rows
        d = self.departure(time)
        if other is not None:
            lat = self.world.settings.space.grid.column_lat.ravel()[self.world.place[rows.kept]]
            d = np.where(lat < SOUTH, self.departure(other), d)
        departure = torch.from_numpy(d.astype(np.float32))[None]
        return Seen(Stations.of(rows.rows, predictor.scale.ravel()), departure, torch.ones_like(departure))

    def departure(self, time: datetime) -> np.ndarray:
        away = (self.world.truth(time) - self.world.predictor.climate(time))[self.world.predictor.known]
        return self.rows.rows @ away.ravel() + self.world.errors(time)[self.rows.kept]

    def states(self, time: datetime, leads: Sequence[int], other: datetime | None = None) -> Iterator[np.ndarray]:
        """(channel, lat, lon) at each of `leads`, hours, ascending."""
        predictor = self.world.predictor
        back = [each - time for each in predictor.observed(time)]
        seen = [self.seen(time + offset, None if other is None else other + offset) for offset in back]
        with torch.no_grad():
            for number, carried in enumerate(predictor.steps(time, seen, timedelta(hours=leads[-1]) // predictor.step)):
                if number and (number * predictor.step) / timedelta(hours=1) in leads:
                    yield predictor.state(carried, time + number * predictor.step)


def main(arguments: Sequence[str]) -> None:
    parser = program.parser("python -m tests.benchmarks.observed_skill", __doc__ or "",
                            "python -m tests.benchmarks.observed_skill mine.toml --footprints made.nc --to skill.csv")
    program.add_experiment(parser)
    parser.add_argument("--footprints", required=True, metavar="FILE", help="in the work folder")
    parser.add_argument("--to", type=Path, required=True, metavar="FILE")
    parser.add_argument("--o2a", metavar="WEIGHTS", help="in the work folder")
    parser.add_argument("--model", default="climax_t31", help="that carries what is interpolated (default climax_t31)")
    parser.add_argument("--leads", type=int, nargs="+", default=[24, 72, 120], metavar="HOURS")
    parser.add_argument("--dates", type=int, default=30, help="evenly spread over the experiment (default 30)")
    chosen = parser.parse_args(arguments)
    settings = load(chosen.experiment)
    every = settings.experiment.times()
    predictor = Predictor.of(settings, every[0])
    world = World(settings, config.load(chosen.experiment, Verified), predictor,
                  footprints.read(settings.experiment.in_work(chosen.footprints), settings.space))
    interpolated = Interpolated(world, settings.experiment.in_work(chosen.o2a) if chosen.o2a else None)
    emulator = make_emulator(starter.find(chosen.model, starter.WEIGHTS), settings.space)
    first, last = len(predictor.observed(every[0])), len(every) - 1 - timedelta(hours=chosen.leads[-1]) // (
        settings.experiment.step)
    dates, errors = [every[i] for i in np.linspace(first, last, chosen.dates).round().astype(int)], Errors(world)
    for number, time in enumerate(dates):
        one_date(errors, interpolated, Predicted(world), emulator, time, dates[(number + OTHER) % len(dates)],
                 chosen.leads)
        log.info("%s done", times.name(time))
    with paths.atomic(chosen.to) as partial, open(partial, "w", newline="") as stream:
        csv.writer(stream).writerows([("method", "lead_hours", "region", "channel", "rmse", "percent", "half_interval"),
                                      *errors.rows()])


def one_date(errors: Errors, interpolated: Interpolated, predicted: Predicted, emulator, time: datetime,
             other: datetime, leads: Sequence[int]) -> None:
    world, seconds = errors.world, times.to_seconds(time)
    truth = {lead: world.truth(time + timedelta(hours=lead)) for lead in (0, *leads)}
    for lead, of_it in truth.items():
        errors.add("climate", lead, world.predictor.prior.mean(time + timedelta(hours=lead)), of_it)
    for method, x in interpolated.states(time).items():
        errors.add(method, 0, x, truth[0])
        fields, before = (torch.from_numpy(x).float()[None],), 0
        for lead in leads:
            steps = timedelta(hours=lead - before) // emulator.step
            with torch.no_grad():
                fields = emulator.advance(fields, seconds + 3600 * before, steps)
            before = lead
            errors.add(method, lead, fields[0][0].double().numpy(), truth[lead])
    for method, instead in (("o2f", None), ("shuffled", other)):
        for lead, x in zip(leads, predicted.states(time, leads, instead), strict=True):
            errors.add(method, lead, x, truth[lead])


if __name__ == "__main__":
    program.run(main, "observed_skill")
