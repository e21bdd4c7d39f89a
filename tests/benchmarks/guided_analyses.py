"""Analyses from observations alone, paired: a denoiser's guided samples, those of the Wiener filter, and the Gaussian.

    python -m tests.benchmarks.guided_analyses EXPERIMENT.toml --cases stations 1 5 --dates 30
    python -m tests.benchmarks.guided_analyses EXPERIMENT.toml --cases stations 1 5 --table

EXPERIMENT names truth ([synthetic]), members, and denoiser and prior ([neural] method = "guided"). Of each case and
date the same members, with the same draws, go three ways: as they begin, draws from the exact Gaussian posterior, with
its mean; through the sampler with the Wiener filter, which should change nothing; and through it with the network.
Negative humidities are zero, as the program has them. A case is "stations", the network of the experiment, or a number:
that per cent of as many stations as the grid has columns, placed anew each date, uniform on the sphere. Scores of each
are kept in the experiment's folder, so that a killed command goes on; dates come in an order that leaves any beginning
of them spread over the year. --table prints what is there: errors, and differences from the Wiener filter's in per
cent, ± half a 95 per cent interval over the dates (Student's t).
"""

import logging
import time as clock
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
from msgspec import structs

from contracts import config, humidity, paths, program, state, static, times
from contracts.static import Static
from networks.denoiser.denoiser import Denoiser
from neural_da import observe
from neural_da.config import Settings, load
from neural_da.draws import Draws
from neural_da.guided import Prepared
from neural_da.problem import Problem
from obsproc import synthetic
from obsproc.config import Settings as Observed
from obsproc.config import Synthetic
from verify import scores
from verify.blocks import interval

log = logging.getLogger("guided_analyses")
GAUSSIAN, WIENER, NETWORK = KINDS = ("Gaussian", "Wiener", "network")
SHOWN = ("temperature_500", "geopotential_500", "u_component_of_wind_500", "specific_humidity_700", "2m_temperature")
LAND = 0.3  # of the surface, and so of stations placed anywhere
STRIDE = 11  # of the order of dates: prime to their number
AT_ONCE = 10  # members to a group


@dataclass(frozen=True)
class Trial:
    """What all cases share."""

    settings: Settings
    observed: Observed
    method: Prepared

    @cached_property
    def still(self) -> Static:
        return static.read(self.observed.truth(self.settings.experiment.start).parent / "static.nc",
                           self.method.denoiser.climate.space.grid)

    def path(self, case: str, time: datetime) -> Path:
        return self.settings.experiment.folder.folder / "guided" / case / f"{times.name(time)}.npz"

    def done(self, case: str, time: datetime) -> dict[str, np.ndarray] | None:
        """Scores by kind, those of NAMES by channel, and CPU seconds."""
        path = self.path(case, time)
        if not path.exists():
            return None
        with np.load(path) as found:
            return dict(found)

    def do(self, case: str, time: datetime) -> None:
        """All three kinds of one case and date."""
        truth = state.read(self.observed.truth(time), self.method.denoiser.climate.space, time)
        problem, draws = self.problem(case, truth), Draws(self.settings.experiment.seed, time,
                                                          self.settings.experiment.members)
        weights = scores.region_weights(truth.space.grid, {"globe": (-90.0, 90.0)})
        found, seconds = {}, []
        for kind, members in self.members(problem, draws):
            X, _ = humidity.not_negative(members.x, humidity.humid(truth.space))
            seconds.append(members.seconds)
            by_name = scores.ensemble_scores(X.reshape(-1, *truth.space.shape), truth.data, weights)
            found[kind] = np.stack([by_name[name][0] for name in scores.NAMES])
        with paths.writing(self.path(case, time)) as partial, open(partial, "wb") as stream:
            np.savez(stream, seconds=seconds, nobs=problem.nobs, **found)
        log.info("%s %s: %d observations, CPU seconds %s", case, times.name(time), problem.nobs,
                 ", ".join(f"{kind} {spent:.1f}" for kind, spent in zip(KINDS, seconds, strict=True)))

    def members(self, problem: Problem, draws: Draws) -> Iterator[tuple[str, "Timed"]]:
        """Of each kind, all begun as the first, the draws from the Gaussian."""
        plain = replace(self.method, denoiser=Denoiser(self.method.denoiser.climate)).at(problem, draws)
        groups = np.array_split(problem.members, -(-draws.members // AT_ONCE))
        began = clock.process_time()
        first = [plain.first(i) for i in groups]
        spent = clock.process_time() - began
        yield GAUSSIAN, Timed(np.concatenate(first).reshape(problem.background.shape), spent)
        for kind, begun in ((WIENER, plain), (NETWORK, self.method.at(problem, draws))):
            began = clock.process_time()
            found = [x for i, those in zip(groups, first, strict=True) for x in begun.carried_down(i, those)]
            yield kind, Timed(np.stack(found), spent + clock.process_time() - began)

    def problem(self, case: str, truth: state.State) -> Problem:
        """Observations of the `truth` in a case; no background but the climate's mean, by which none is rejected."""
        seed = self.settings.experiment.seed
        chosen, draw = self.observed.synthetic, seed
        if case != "stations":
            count = round(float(case) / 100 * truth.space.grid.size)
            chosen = structs.replace(chosen, stations=(count,), band_edges=(-90.0, 90.0), land_share=LAND)
            draw = int(times.name(truth.time)) + seed
        table = table_of(truth, self.still, chosen, draw, seed)
        mean = self.method.denoiser.climate.mean(truth.time).reshape(1, len(truth.data), -1).astype(np.float32)
        background = np.repeat(mean, self.settings.experiment.members, axis=0)
        compared = observe.compare(self.settings, truth.space, self.still, table, background, {}, truth.time)
        return Problem(truth.time, truth.space, background, compared.terms(), np.arange(len(background)), len(table))


@dataclass(frozen=True)
class Timed:
    """Members `x` (member, channel, column), and the CPU `seconds` that they take from their observations on."""

    x: np.ndarray
    seconds: float


def table_of(truth: state.State, still: Static, chosen: Synthetic, network: int, seed: int):
    """What the stations of the network drawn from the seed `network` observe."""
    return synthetic.draw(truth, still, synthetic.network(chosen, still, network), chosen, seed)


def dates(start: datetime, end: datetime, count: int) -> list[datetime]:
    """`count` whole days evenly spread, in an order that leaves any beginning of it spread over all."""
    apart = timedelta(days=(end - start).days // count)
    return [start + (number * STRIDE % count) * apart for number in range(count)]


def table(trial: Trial, cases: Sequence[str], wanted: Sequence[datetime]) -> str:
    """What is there, in Markdown."""
    lines = []
    for case in cases:
        found = [one for time in wanted if (one := trial.done(case, time)) is not None]
        if len(found) < 2:
            continue
        seconds = np.mean([one["seconds"] for one in found], axis=0)
        spent = ", ".join(f"{kind} {one:.1f}" for kind, one in zip(KINDS, seconds, strict=True))
        lines += ["", f"{case}: {len(found)} dates, {np.mean([one['nobs'] for one in found]):.0f} observations, CPU "
                  f"seconds a date {spent}", "",
                  "| | RMSE Gaussian | Wiener | network | spread/error | | | CRPS Gaussian | Wiener | network | "
                  "RMSE, % | CRPS, % |", "|---|---|---|---|---|---|---|---|---|---|---|---|"]
        names = [channel.name for channel in trial.method.denoiser.climate.space.channels]
        lines += [_line(name, found, names.index(name)) for name in SHOWN]
    return "\n".join(lines)


def _line(name: str, found: Sequence[dict[str, np.ndarray]], channel: int) -> str:
    of = {(kind, score): np.array([one[kind][scores.NAMES.index(score), channel] for one in found])
          for kind in KINDS for score in ("rmse", "spread", "crps")}
    rms = {key: np.sqrt(np.mean(values**2)) for key, values in of.items()}
    cells = [f"{rms[kind, 'rmse']:.4g}" for kind in KINDS]
    cells += [f"{rms[kind, 'spread'] / rms[kind, 'rmse']:.2f}" for kind in KINDS]
    cells += [f"{of[kind, 'crps'].mean():.4g}" for kind in KINDS]
    cells += [_change(of[NETWORK, score] / of[WIENER, score]) for score in ("rmse", "crps")]
    return f"| {name} | {' | '.join(cells)} |"


def _change(ratio: np.ndarray) -> str:
    """Mean of ratios less one in per cent, with half of its interval."""
    return f"{100 * (ratio.mean() - 1):+.1f} ± {100 * interval(ratio):.1f}"


def main(arguments: Sequence[str]) -> None:
    parser = program.parser("python -m tests.benchmarks.guided_analyses", __doc__ or "",
                            "python -m tests.benchmarks.guided_analyses run/experiments/generative/guided.toml --cases "
                            "stations 1 --dates 30")
    program.add_experiment(parser)
    parser.add_argument("--cases", nargs="+", required=True, metavar="CASE", help="stations, or per cent of columns")
    parser.add_argument("--dates", type=int, default=30, metavar="N", help="of the experiment's days (default: 30)")
    parser.add_argument("--table", action="store_true", help="print what is there and stop")
    chosen = parser.parse_args(arguments)
    settings, observed = load(chosen.experiment), config.load(chosen.experiment, Observed)
    space = settings.state.space(settings.grid.grid())
    trial = Trial(settings, observed, settings.neural.prepared(settings.experiment, space))
    wanted = dates(settings.experiment.start, settings.experiment.end, chosen.dates)
    if chosen.table:
        print(table(trial, chosen.cases, wanted))
        return
    for case in chosen.cases:
        for time in wanted:
            if trial.done(case, time) is None:
                trial.do(case, time)


if __name__ == "__main__":
    program.run(main, "guided_analyses")
