"""One 4D-Var analysis of a window against cycled 3D-Var with the same observations, one forecast later.

    python -m tests.benchmarks.window_cases EXPERIMENT.toml --backgrounds FOLDER --starts 1992011100 1992011600 …

EXPERIMENT.toml has [neural] method = "latent_4d_var" and a window. Each case begins with the mean of the background
that FOLDER, another experiment, has at that time, and with the observations that EXPERIMENT says. 3D-Var, with the same
latent, takes them time by time and carries its analysis from one to the next with the same network. Both forecasts are
compared with the truth at the analysis time of the next window; nothing observed there is used. `--factors` tries other
[neural] factor than the file's, `--only` one of the two.
"""

import time as clock
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from contracts import config, program, state, static, times
from contracts.observations import Observations
from contracts.paths import ExperimentFolder
from contracts.state import StateSpace
from neural_da import check, latent_3d_var, observe
from neural_da.config import Settings, load
from neural_da.draws import Draws
from neural_da.latent_4d_var import Prepared
from neural_da.methods import Latent3DVar
from neural_da.problem import Problem
from obsproc import config as observed
from obsproc import synthetic
from verify.blocks import interval
from verify.config import Settings as Verified

FIELDS = ("temperature_500", "u_component_of_wind_500", "geopotential_500", "specific_humidity_700")


@dataclass(frozen=True)
class Cases:
    """What all cases share."""

    settings: Settings
    observations: observed.Settings
    truth: Verified
    backgrounds: ExperimentFolder
    method: Prepared

    @property
    def space(self) -> StateSpace:
        return self.method.model.space

    def number(self, name: str) -> int:
        """Of a channel."""
        return [channel.name for channel in self.space.channels].index(name)

    def with_settings(self, **changes: Any) -> "Cases":
        return replace(self, method=replace(self.method, settings=structs.replace(self.method.settings, **changes)))

    def background(self, time: datetime) -> np.ndarray:
        """(1, channel, column)"""
        return self._read(self.backgrounds.at(time).background.mean, time)

    def true(self, time: datetime) -> np.ndarray:
        path = self.truth.truth(time)
        assert path is not None
        return self._read(path, time)

    def _read(self, path: Path, time: datetime) -> np.ndarray:
        return state.read(path, self.space, time).data.reshape(1, len(self.space.channels), -1)

    def table(self, time: datetime, hours: float) -> Observations:
        """What is observed in the window of so many hours from `time` on."""
        chosen = replace_window(self.observations, hours)
        return synthetic.observe(chosen, time)[0]

    def analysed(self, method: latent_3d_var.Prepared, x: np.ndarray, time: datetime, table: Observations,
                 offsets: Sequence[timedelta]) -> np.ndarray:
        """The analysis (1, channel, column) of the background `x`, alone, with what is observed at the `offsets`."""
        problem = self.problem(x, time, table, offsets)
        found = method.analyse(problem, Draws(self.settings.experiment.seed, time, 2)).members
        return check.sane(found, x, self.space, self.settings.neural.humidity_below_hpa)

    def problem(self, x: np.ndarray, time: datetime, table: Observations, offsets: Sequence[timedelta]) -> Problem:
        """Of two members that are the same."""
        two, fields = np.repeat(x, 2, axis=0), static.read(self.backgrounds.static, self.space.grid)
        slots = self.method.model.members(two, time, [offset for offset in offsets if offset], 1)
        compared = observe.compare(self.settings, self.space, fields, table, two, slots, time)
        return Problem(time, self.space, two, compared.terms(), np.array([0]), len(table), slots)


Maker = Callable[[Cases, datetime], np.ndarray]


def replace_window(settings: observed.Settings, hours: float) -> observed.Settings:
    """The same with a window of so many hours from the analysis time on."""
    reach = structs.replace(settings.observations, window_hours=(0.0, max(hours, 1e-3)))
    return structs.replace(settings, observations=reach)


def of(path: Path, backgrounds: Path) -> Cases:
    settings = load(path)
    space = settings.state.space(settings.grid.grid())
    return Cases(settings, config.load(path, observed.Settings), config.load(path, Verified),
                 ExperimentFolder(backgrounds), settings.neural.prepared(settings.experiment, space))


def main(arguments: Sequence[str]) -> None:
    parser = program.parser("python -m tests.benchmarks.window_cases", __doc__ or "",
                            "python -m tests.benchmarks.window_cases run/experiments/latent/fourdvar_window.toml "
                            "--backgrounds work/neural_three_d_var --starts 1992011100")
    program.add_experiment(parser)
    parser.add_argument("--backgrounds", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--starts", nargs="+", type=times.parse, required=True, metavar="TIME")
    parser.add_argument("--factors", nargs="+", type=float, metavar="F")
    parser.add_argument("--only", choices=("3D-Var", "4D-Var"))
    chosen = parser.parse_args(arguments)
    cases = of(chosen.experiment, chosen.backgrounds)
    makers = {name: make for name, make in (("none", forecast), ("3D-Var", cycled), ("4D-Var", window))
              if chosen.only in (None, name)}
    for factor in chosen.factors or [cases.method.settings.factor]:
        print(f"factor {factor:g}:", " ".join(FIELDS))
        tried = cases.with_settings(factor=factor)
        print(table_of([all_of(makers, tried, start) for start in chosen.starts]), flush=True)


def all_of(makers: dict[str, Maker], cases: Cases, start: datetime) -> dict[str, np.ndarray]:
    """Errors of one case, told."""
    row = {name: timed(make, cases, start) for name, make in makers.items()}
    print(times.name(start), "; ".join(f"{name} {' '.join(f'{value:.4g}' for value in errors)}, {cpu:.2f} CPU-s"
                                       for name, (errors, cpu) in row.items()), flush=True)
    return {name: errors for name, (errors, _) in row.items()}


def timed(make: Maker, cases: Cases, start: datetime) -> tuple[np.ndarray, float]:
    """Errors of FIELDS where the next window begins, and the CPU-seconds of all that led there."""
    began, after = clock.process_time(), cases.settings.experiment.step
    x = make(cases, start)
    cpu = clock.process_time() - began
    return rms(cases, x, cases.true(start + after)), cpu


def forecast(cases: Cases, start: datetime) -> np.ndarray:
    """Without any observation."""
    after = cases.settings.experiment.step
    return cases.method.model.members(cases.background(start), start, [after], 1)[after]


def window(cases: Cases, start: datetime) -> np.ndarray:
    """All observations at once."""
    slots, after = cases.settings.slots, cases.settings.experiment.step
    assert slots is not None
    table = cases.table(start, slots.window_hours[1])
    x = cases.analysed(cases.method, cases.background(start), start, table, slots.offsets)
    return cases.method.model.members(x, start, [after], 1)[after]


def cycled(cases: Cases, start: datetime) -> np.ndarray:
    """One time after the other."""
    slots, after = cases.settings.slots, cases.settings.experiment.step
    assert slots is not None
    method = latent_3d_var.Prepared(replaced(cases.method), cases.method.latent)
    x, here = cases.background(start), timedelta()
    for offset in slots.offsets:
        x = cases.method.model.members(x, start + here, [offset - here], 1)[offset - here] if offset else x
        here = offset
        x = cases.analysed(method, x, start + here, cases.table(start + here, 0.0), [timedelta()])
    return cases.method.model.members(x, start + here, [after - here], 1)[after - here]


def replaced(method: Prepared) -> Latent3DVar:
    """3D-Var stops as it does by default."""
    return structs.replace(method.settings, tolerance=0.01, iterations=100)


def rms(cases: Cases, x: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(field,) root mean square over the globe."""
    rows = list(map(cases.number, FIELDS))
    weights = cases.space.grid.area_weights
    squares = ((x - truth)[0, rows].reshape(-1, *cases.space.grid.shape).astype(np.float64)) ** 2
    return np.sqrt((squares * weights).mean(axis=(1, 2)))


def table_of(found: Sequence[dict[str, np.ndarray]]) -> str:
    """Means over the cases; 4D-Var in per cent of 3D-Var with half a 95 per cent interval (Student's t, paired)."""
    lines = []
    for number, name in enumerate(FIELDS):
        errors = {which: np.array([row[which][number] for row in found]) for which in found[0]}
        line = name + ": " + ", ".join(f"{which} {values.mean():.4g}" for which, values in errors.items())
        if {"3D-Var", "4D-Var"} <= set(errors) and len(found) > 1:
            ratio = 100 * (errors["4D-Var"] / errors["3D-Var"] - 1)
            line += (f", {ratio.mean():+.1f} ± {interval(ratio):.1f} per cent, of {ratio.min():+.1f} to "
                     f"{ratio.max():+.1f}, ratio of the means {errors['4D-Var'].mean() / errors['3D-Var'].mean():.3f}")
        lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    program.run(main, "window_cases")
