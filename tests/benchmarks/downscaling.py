"""Spread or anomalies of members on a fine grid, by networks and by interpolation: CRPS, small scales, mountains.

    python -m tests.benchmarks.downscaling TRAINING.toml … --of FOLDER --start 1992-12-04 --end 1992-12-31

TRAINING are experiment files of `python -m networks train` with one coarse grid, all of spreads or all of members;
FOLDER, in the work folder, is an experiment on the fine grid in times that none of them has seen. Of each time cells
are made and brought back:

    bilinear        of the cells
    map             and the mean error of the training times: what is to be beaten
    closed          and made to agree with the cells, as all that follow
    other blocks    the same with the mean error of the other blocks but those beside it: of the season itself
    …, dressed      a Gaussian about it, of the deviation that the training times have at the place
    network         Gaussian: its mean, and its Gaussian; diffusion: the mean of its samples, and their fair CRPS

The CRPS of what is a single field is its mean absolute error. Of spreads it is that of the logarithm, of members in
their deviation in the training times. Means over blocks of days, ± half a 95 per cent interval over them (Student's t),
in per cent of the map (single fields) or of the map dressed (distributions).
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import torch
from msgspec import structs
from torch import Tensor

from contracts import program, times
from contracts.paths import ExperimentFolder
from networks.data import spreads
from networks.downscale import members, reading
from networks.downscale.network import Given, crps
from networks.downscale.reading import Trained
from networks.training import config
from verify.blocks import interval
from verify.scores import crps_fair

SHOWN = ("temperature_500", "geopotential_500", "u_component_of_wind_500", "temperature_850", "specific_humidity_700",
         "2m_temperature")
BANDS = ((1, 8), (9, 16), (17, 32))  # zonal wavenumbers
MAP, DRESSED, OTHERS = "map", "map, dressed", "other blocks"


@dataclass(frozen=True)
class Found:
    """Of one time: `scores` (channel,) by kind; `power` of zonal waves (band, channel) and fields without what B c has
    (channel, lat, lon), by kind."""

    time: datetime
    scores: dict[str, np.ndarray]
    power: dict[str, np.ndarray]
    small: dict[str, np.ndarray]
    off: np.ndarray  # (channel, lat, lon) mean of y - B c


@dataclass(frozen=True)
class Judge:
    """Networks of one kind of quantity and cells, by name."""

    trained: dict[str, Trained]
    draws: int
    count: int  # members of a time

    @property
    def one(self) -> Trained:
        return next(iter(self.trained.values()))

    def fields(self, folder: ExperimentFolder, time: datetime) -> np.ndarray:
        """(B, channel, lat, lon) in SI units, or logarithms."""
        if self.one.card.network.of == "spread":
            return spreads.of_time(folder, self.one.space, time)[None]
        chosen = members.evenly(80, self.count)
        return members.anomalies(folder.at(time).background, self.one.space, time, chosen)

    @torch.inference_mode()
    def judged(self, folder: ExperimentFolder, time: datetime) -> Found:
        fields, seconds = self.fields(folder, time), times.to_seconds(time)
        first = self.one.network
        y = self.one.tensor(fields)
        given = first.given(first.quantity.coarse(y), np.full(len(y), seconds))
        bilinear = first.quantity.scales.bilinear(given.coarse)
        singles = {"bilinear": bilinear, MAP: bilinear + first.map, "closed": given.guess}
        spread_out = {DRESSED: crps(bilinear + first.map, first.scale, y),
                      "closed, dressed": crps(given.guess, first.scale, y)}
        samples: dict[str, Tensor] = {}
        for number, (name, each) in enumerate(self.trained.items()):
            random = np.random.default_rng((number, seconds))
            mean, spread_out[name], samples[name] = self.by(each, y, seconds, random)
            singles[f"{name}, mean"] = mean
        scores = {kind: self.area((field - y).abs()) for kind, field in singles.items()}
        scores |= {kind: self.area(field) for kind, field in spread_out.items()}
        shown = {"truth": y, **singles, **{f"{name}, a draw": draw for name, draw in samples.items()}}
        return Found(time, scores, {kind: self.power(field) for kind, field in shown.items()},
                     {kind: (field - bilinear).numpy() for kind, field in shown.items()},
                     (y - bilinear).mean(0).numpy())

    @torch.inference_mode()
    def set_map(self, folder: ExperimentFolder, when: Sequence[datetime]) -> None:
        """Give all networks the map of these times."""
        quantity, off = self.one.network.quantity, []
        for time in when:
            y = self.one.tensor(self.fields(folder, time))
            off.append((y - quantity.scales.bilinear(quantity.coarse(y))).mean(0))
        for each in self.trained.values():
            each.network.map.copy_(torch.stack(off).mean(0))

    @torch.inference_mode()
    def with_map(self, folder: ExperimentFolder, time: datetime, known: np.ndarray) -> np.ndarray:
        """Absolute error (channel,) of what another map (channel, lat, lon) gives, made to agree with the cells."""
        quantity, y = self.one.network.quantity, self.one.tensor(self.fields(folder, time))
        coarse = quantity.coarse(y)
        guess = quantity.closed(quantity.scales.bilinear(coarse) + torch.from_numpy(known), coarse)
        return self.area((guess - y).abs())

    def by(self, each: Trained, y: Tensor, seconds: int, random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, CRPS and a draw of a network."""
        network = each.network
        given: Given = network.given(network.quantity.coarse(y), np.full(len(y), seconds))
        if each.card.network.method == "gaussian":
            mean, deviation = network.gaussian(given)
            draw = mean + deviation * torch.from_numpy(random.standard_normal(y.shape, np.float32))
            return mean, crps(mean, deviation, y), network.quantity.closed(draw, given.coarse)
        draws = np.stack([network.sample(given, random).numpy() for _ in range(self.draws)])
        return (torch.from_numpy(draws.mean(axis=0)), torch.from_numpy(crps_fair(draws, y.numpy())),
                torch.from_numpy(draws[0]))

    def area(self, field: Tensor) -> np.ndarray:
        """(channel,) mean over fields and globe."""
        return (field.numpy() * self.one.space.grid.area_weights).mean(axis=(0, -2, -1))

    def power(self, field: Tensor) -> np.ndarray:
        """(band, channel)"""
        square = np.abs(np.fft.rfft(field.numpy(), axis=-1, norm="forward")) ** 2
        rows = self.one.space.grid.area_weights[:, 0]
        zonal = (square * rows[:, None]).mean(axis=(0, -2))
        return np.stack([2 * zonal[:, low : high + 1].sum(-1) for low, high in BANDS])


def main(arguments: Sequence[str]) -> None:
    parser = program.parser("python -m tests.benchmarks.downscaling", __doc__ or "",
                            "python -m tests.benchmarks.downscaling run/experiments/generative/downscale_8x16.toml "
                            "--of letkf_800km_80_members --start 1992-01-06 --end 1992-01-12")
    parser.add_argument("trainings", nargs="+", type=Path)
    parser.add_argument("--of", required=True)
    parser.add_argument("--start", required=True, type=_day)
    parser.add_argument("--end", required=True, type=_day)
    parser.add_argument("--map", nargs=2, type=_day, metavar=("START", "END"),
                        help="days of FOLDER that the map is made of; default: the training times' own")
    parser.add_argument("--every-hours", type=int, default=6)
    parser.add_argument("--days", type=int, default=4, help="of a block")
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--members", type=int, default=8, help="of each time")
    chosen = parser.parse_args(arguments)
    print(tables(chosen))


def tables(chosen: argparse.Namespace) -> str:
    trained = dict(_networks(chosen))
    judge = Judge(trained, chosen.draws, chosen.members)
    first = config.load(chosen.trainings[0])
    folder = ExperimentFolder(first.experiment.in_work(chosen.of))
    wanted = _there(folder, chosen.start, chosen.end, chosen.every_hours)
    if chosen.map:
        judge.set_map(folder, _there(folder, *chosen.map, 6))
    found = [judge.judged(folder, time) for time in wanted]
    blocks = np.array([(time - wanted[0]).days // chosen.days for time in wanted])
    if judge.one.card.network.of == "spread":
        for one, block in zip(found, blocks, strict=True):
            others = [other.off for other, of in zip(found, blocks, strict=True) if abs(of - block) > 1]
            one.scores[OTHERS] = judge.with_map(folder, one.time, np.mean(others, axis=0))
    names = [channel.name for channel in judge.one.space.channels]
    lines = [f"{chosen.of}, {len(wanted)} times from {times.name(wanted[0])} to {times.name(wanted[-1])}, "
             f"{blocks.max() + 1} blocks", "", *_scores(found, blocks, names), "", *_powers(found, names), "",
             *_mountains(found, judge, names)]
    return "\n".join(lines)


def _there(folder: ExperimentFolder, start: datetime, end: datetime, hours: int) -> list[datetime]:
    return [time for time in times.every(start, end, timedelta(hours=hours))
            if folder.at(time).background.spread.exists()]


def _networks(chosen: argparse.Namespace) -> Iterator[tuple[str, Trained]]:
    for path in chosen.trainings:
        settings = config.load(path)
        experiment = structs.replace(settings.experiment, start=chosen.start, end=chosen.end)
        yield settings.experiment.name, reading.read(settings.weights, settings.space, experiment)


def _scores(found: Sequence[Found], blocks: np.ndarray, names: list[str]) -> list[str]:
    shown = [name for name in SHOWN if name in names]
    lines = [f"| | all {len(names)} channels | % | " + " | ".join(f"{name} | %" for name in shown) + " |",
             "|---" * (3 + 2 * len(shown)) + "|"]
    for kind in found[0].scores:
        reference = DRESSED if kind in found[0].scores and _is_distribution(kind, found[0]) else MAP
        cells = []
        for which in [slice(None), *(names.index(name) for name in shown)]:
            mine, other = (np.array([np.mean([one.scores[of][which] for one, b in zip(found, blocks, strict=True)
                                              if b == block]) for block in range(blocks.max() + 1)])
                           for of in (kind, reference))
            cells += [f"{mine.mean():.4f}", "" if kind == reference else _interval(100 * (mine / other - 1))]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return lines


def _is_distribution(kind: str, one: Found) -> bool:
    return kind == DRESSED or kind.endswith("dressed") or f"{kind}, mean" in one.scores


def _interval(values: np.ndarray) -> str:
    half = f" ± {interval(values):.1f}" if len(values) > 1 else ""
    return f"{values.mean():+.1f}{half}"


def _powers(found: Sequence[Found], names: list[str]) -> list[str]:
    """Variance of zonal waves over the truth's, geometric mean of the channels."""
    lines = ["| variance of waves over the truth's | " + " | ".join(f"{low}-{high}" for low, high in BANDS) + " |",
             "|---" * (1 + len(BANDS)) + "|"]
    power = {kind: np.mean([one.power[kind] for one in found], axis=0) for kind in found[0].power}
    for kind, of in power.items():
        if kind != "truth":
            lines.append(f"| {kind} | " + " | ".join(f"{np.exp(np.log(row).mean()):.2f}" for row in of / power["truth"])
                         + " |")
    return lines


def _mountains(found: Sequence[Found], judge: Judge, names: list[str]) -> list[str]:
    """Correlation over places of what is finer than B c, its root mean square over times, with slopes of the ground."""
    slope, shown = _slope(judge.one), [name for name in SHOWN if name in names]
    weights = judge.one.space.grid.area_weights.ravel()
    lines = ["| correlation with slopes | " + " | ".join(shown) + " |", "|---" * (1 + len(shown)) + "|"]
    for kind in found[0].small:
        if not any(one.small[kind].any() for one in found):
            continue
        size = np.sqrt(np.mean([np.square(one.small[kind]).mean(axis=0) for one in found], axis=0))
        told = (f"{_correlation(size[names.index(name)].ravel(), slope.ravel(), weights):.2f}" for name in shown)
        lines.append(f"| {kind} | " + " | ".join(told) + " |")
    return lines


def _slope(trained: Trained) -> np.ndarray:
    """(lat, lon), in any unit: of the orography that the network is told."""
    grid, height = trained.space.grid, trained.network.still[0].numpy()
    north = np.gradient(height, np.deg2rad(grid.lat), axis=0)
    east = (np.roll(height, -1, -1) - np.roll(height, 1, -1)) / (2 * np.deg2rad(360 / grid.lon.size))
    return np.hypot(north, east / np.cos(np.deg2rad(grid.lat))[:, None])


def _correlation(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> float:
    covariance = np.cov(a, b, aweights=weights)
    return float(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))


def _day(text: str) -> datetime:
    return times.parse(text.replace("-", "") + "00")


if __name__ == "__main__":
    program.run(main, "downscaling")
