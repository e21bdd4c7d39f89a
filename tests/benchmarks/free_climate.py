"""Years of free run of a forecast model, and whether it stays on the climate of a nature run.

    python -m tests.benchmarks.free_climate EXPERIMENT.toml --years 10
    python -m tests.benchmarks.free_climate EXPERIMENT.toml … --table

One member begins as the state of [initial] first, re-dated to the experiment's start. Once a day its global means are
kept, and the power of its zonal waves; the run itself every 50 days, so that a killed command goes on to the same bits.
The climate is that of the states of --reference, once a day. --table prints of each experiment, in Markdown, of the
SHOWN channels:

    inside      share of days on which the global mean lies within the 1st to the 99th percentile of the climate's days;
                and the first day on which it does not
    season      amplitude of the year's harmonic of the global mean, in per cent of the climate's
    trend       of annual means, a decade, ± half a 95 per cent interval (least squares, Student's t)
    waves       power of the zonal waves 1-5, 6-15 and the rest over that of the climate, mean over latitudes by area;
                and least and most of any one wave

It writes free_run.nc beside it, which the report of the experiment draws (python -m verify report EXPERIMENT.toml).
Last comes the same of the nature run itself, in the days that follow [initial] first: what a season, or a year, is
worth.
"""

import logging
import time as clock
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from scipy import stats

from contracts import paths, program, progress, state, times
from contracts.errors import UserError
from contracts.nature import NatureFolder
from contracts.state import StateSpace
from model_server import config
from model_server.chosen import model_of
from model_server.models.base import Batch, Restart, advance, begun
from networks import season
from verify.free_run import PERCENTILES, FreeRun

log = logging.getLogger("free_climate")
SHOWN = ("temperature_500", "geopotential_500", "u_component_of_wind_500", "specific_humidity_700")
HEAD = ("| | days | inside, % | first day out | season, % | trend | waves | any wave |\n"
        "|---|---|---|---|---|---|---|---|")
DAY = timedelta(days=1)
EVERY = 50  # days between what is kept of the run
RESTART = "restart_"  # before the names of what the model keeps
BANDS = ((1, 6), (6, 16), (16, None))  # zonal wavenumbers
FURTHEST = 1e7  # of any number from the first global mean, in SI units: further is no state


@dataclass(frozen=True)
class Kept:
    """Of each day `means` (day, channel) and `power` (day, channel, wavenumber); `seconds` (day,) since 1970."""

    seconds: np.ndarray
    means: np.ndarray
    power: np.ndarray

    @classmethod
    def of(cls, space: StateSpace, states: Sequence[tuple[datetime, np.ndarray]]) -> "Kept":
        """Of `states` (channel, lat, lon) with their times."""
        weights = space.grid.area_weights / space.grid.size
        rows = weights[:, 0] * space.grid.lon.size  # of a circle of latitude, sum 1
        waves = [np.abs(np.fft.rfft(x.astype(float)) / x.shape[-1]) ** 2 for _, x in states]
        return cls(np.array([times.to_seconds(time) for time, _ in states], np.int64),
                   np.stack([(x.astype(float) * weights).sum(axis=(1, 2)) for _, x in states]),
                   np.stack([np.einsum("cyk,y->ck", wave, rows) for wave in waves]))

    def plus(self, other: "Kept") -> "Kept":
        return Kept(*(np.concatenate(pair) for pair in zip(self.parts, other.parts, strict=True)))

    @property
    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.seconds, self.means, self.power


def run(settings: config.Settings, years: float) -> None:
    """Go on from where it stands to the end of so many years, or to where the state is none."""
    experiment, model = settings.experiment, model_of(settings)
    path, start = kept_at(settings), experiment.start.astimezone(UTC)
    kept, batch = resumed(path, settings, model, start)
    days = round(years * season.YEAR / DAY.total_seconds()) - len(kept.seconds) + 1
    steps, new, began = DAY // model.time_step, [], clock.process_time()
    for day in progress.reported(range(days), "free run, days", log):
        for _ in range(steps):
            batch = advance(model, batch)
        if not np.abs(batch.data[0] - kept.means[0][:, None, None]).max() < FURTHEST:  # so that NaN is far
            log.info("%s: no state any more after %d days", experiment.name, len(kept.seconds) + len(new))
            break
        new.append((batch.time, batch.data[0]))
        if len(new) == EVERY or day == days - 1:
            kept, new = kept.plus(Kept.of(settings.space, new)), []
            write(path, kept, batch.data, batch.restart[0])
            log.info("%s: %d days, %.0f CPU seconds", experiment.name, len(kept.seconds) - 1,
                     clock.process_time() - began)


def resumed(path: Path, settings: config.Settings, model, start: datetime) -> tuple[Kept, Batch]:
    """What is kept at `path`, or the beginning."""
    if path.exists():
        with np.load(path) as found:
            kept, data = Kept(found["seconds"], found["means"], found["power"]), found["data"]
            restart = {name.removeprefix(RESTART): found[name] for name in found if name.startswith(RESTART)} or None
    else:
        restart = None
        first = settings.initial.first
        if first is None:
            raise UserError("[initial] names no first: the state of the nature run that the free run begins with")
        at = first.astimezone(UTC)
        data = state.read(NatureFolder(settings.initial_folder).state(at), settings.space, at).data[None]
        kept = Kept.of(settings.space, [(start, data[0])])
    time = times.from_seconds(int(kept.seconds[-1]))
    return kept, begun(model, Batch(time, data, (restart,)), (1,), settings.experiment.seed)


def write(path: Path, kept: Kept, data: np.ndarray, restart: Restart | None = None) -> None:
    """The days so far, the state of the last one and what the model keeps beside it, by rename."""
    own = {RESTART + name: array for name, array in (restart or {}).items()}
    with paths.writing(path) as partial, open(partial, "wb") as stream:
        np.savez(stream, seconds=kept.seconds, means=kept.means, power=kept.power, data=data, **own)


def kept_at(settings: config.Settings) -> Path:
    return settings.experiment.folder.folder / "free_climate.npz"


def read(settings: config.Settings) -> Kept:
    """What is there of a run."""
    with np.load(kept_at(settings)) as found:
        return Kept(found["seconds"], found["means"], found["power"])


def reference(settings: config.Settings, natures: Sequence[str], start: datetime, end: datetime) -> Kept:
    """Of the nature runs' states once a day, as far as they go, kept in the work folder."""
    path = settings.experiment.in_work(f"free_climate_{times.name(start)}_{times.name(end)}.npz")
    if not path.exists():
        folders = [NatureFolder(settings.experiment.in_work(name)) for name in natures]
        wanted = [(time, folder.state(time)) for time in times.every(start, end, DAY) for folder in folders
                  if folder.state(time).exists()]
        pieces = [wanted[i:i + EVERY] for i in range(0, len(wanted), EVERY)]
        found = [Kept.of(settings.space, [(time, state.read(one, settings.space, time).data) for time, one in piece])
                 for piece in progress.reported(pieces, "states of the climate, pieces", log)]
        write(path, Kept(*map(np.concatenate, zip(*(one.parts for one in found), strict=True))), np.zeros(0))
    with np.load(path) as found:
        return Kept(found["seconds"], found["means"], found["power"])


def beside(run_: Kept, climate: Kept, names: Sequence[str]) -> FreeRun:
    """What the report shows of a run."""
    low, high = np.percentile(climate.means, PERCENTILES, axis=0)
    return FreeRun(tuple(names), run_.seconds, run_.means, run_.power.mean(axis=0), low, high,
                   climate.power.mean(axis=0))


def line(name: str, channel: int, run_: Kept, climate: Kept) -> str:
    """What the table says of one channel of one run."""
    mean, of = run_.means[:, channel], climate.means[:, channel]
    low, high = np.percentile(of, PERCENTILES)
    out = (mean < low) | (mean > high)
    first = f"{out.argmax()}" if out.any() else "-"
    amplitude = 100 * _amplitude(run_.seconds, mean) / _amplitude(climate.seconds, of) if len(mean) > 365 else np.nan
    power, usual = (one.power[:, channel].mean(axis=0) for one in (run_, climate))
    waves, ratio = [power[slice(*band)].sum() / usual[slice(*band)].sum() for band in BANDS], power[1:] / usual[1:]
    return (f"| {name} | {len(mean) - 1} | {100 * (1 - out.mean()):.1f} | {first} | {amplitude:.0f} | "
            f"{_trend(mean)} | {' / '.join(f'{one:.2f}' for one in waves)} | {ratio.min():.2f} to {ratio.max():.2f} |")


def _amplitude(seconds: np.ndarray, mean: np.ndarray) -> float:
    basis = season.basis(seconds, 3)
    return float(np.hypot(*np.linalg.lstsq(basis, mean - mean.mean(), rcond=None)[0][1:]))


def _trend(mean: np.ndarray) -> str:
    """A decade, of annual means."""
    years = len(mean) // 365
    if years < 4:
        return ""
    annual = mean[:365 * years].reshape(years, 365).mean(axis=1)
    found = stats.linregress(np.arange(years), annual)
    return f"{10 * found.slope:+.2g} ± {10 * stats.t.ppf(0.975, years - 2) * found.stderr:.1g}"


def main(arguments: Sequence[str]) -> None:
    parser = program.parser("python -m tests.benchmarks.free_climate", __doc__ or "",
                            "python -m tests.benchmarks.free_climate run/experiments/generative/gap.toml --years 10")
    parser.add_argument("experiments", nargs="+", type=Path, metavar="EXPERIMENT.toml")
    parser.add_argument("--years", type=float, default=10.0)
    parser.add_argument("--natures", nargs="+", default=["nature_t31_1981", "nature_t31_1987"], metavar="FOLDER")
    parser.add_argument("--reference", nargs=2, type=times.parse, metavar=("START", "END"),
                        default=[datetime(1981, 1, 1, tzinfo=UTC), datetime(1990, 12, 31, tzinfo=UTC)])
    parser.add_argument("--table", action="store_true", help="print what is there and stop")
    chosen = parser.parse_args(arguments)
    every = [config.load(path) for path in chosen.experiments]
    if not chosen.table:
        for settings in every:
            run(settings, chosen.years)
        return
    climate = reference(every[0], chosen.natures, *chosen.reference)
    names = [channel.name for channel in every[0].space.channels]
    for settings in every:
        of = read(settings)
        beside(of, climate, names).write(kept_at(settings).with_name("free_run.nc"), settings.experiment.name)
        print(f"\n{settings.experiment.name}\n\n{HEAD}")
        for name in SHOWN:
            print(line(name, names.index(name), of, climate))
    longest = max(len(read(settings).seconds) for settings in every) - 1
    first = every[0].initial.first.astimezone(UTC)
    truth = reference(every[0], chosen.natures, first, first + longest * DAY)
    print(f"\nthe nature run itself, the same days of it\n\n{HEAD}")
    for name in SHOWN:
        print(line(name, names.index(name), truth, climate))


if __name__ == "__main__":
    program.run(main, "free_climate")
