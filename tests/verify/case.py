"""A made experiment with all that verification reads."""

from datetime import timedelta
from pathlib import Path

import numpy as np

from contracts import config, observations, state, static, times
from contracts.observations import Departures, Source
from contracts.state import State
from contracts.variables import Flag, Quantity
from tests import builders
from verify import __main__ as verify
from verify.config import Settings
from verify.fit import Fit

MEMBERS = 3
TIMES = [builders.TIME, builders.TIME + timedelta(hours=6)]
LAYERS = (1100, 700, 300, 0)


def departures(seed: int = 0, count: int = 400) -> Departures:
    """Random rows of all fates; those that could not be compared have NaN equivalents."""
    rng = np.random.default_rng(seed)
    rows = builders.observations(
        rng.standard_normal(count),
        quantity=rng.choice([Quantity.temperature, Quantity.surface_pressure, Quantity.u_component_of_wind], count),
        flag=rng.choice([Flag.assimilated, Flag.withheld, Flag.monitored, Flag.bad_mark], count),
        type=rng.choice([120, 220, 233], count),
        pressure=rng.choice([1000e2, 700e2, 500e2, 300e2, 100e2], count),
        error=rng.uniform(0.5, 2.0, count),
    )
    equivalents = rng.standard_normal((4, count))
    equivalents[1], equivalents[3] = np.abs(equivalents[1]), np.abs(equivalents[3])
    equivalents[:, rows.flag == Flag.bad_mark] = np.nan
    names = ("background_mean", "background_spread", "analysis_mean", "analysis_spread")
    columns = dict(zip(names, equivalents, strict=True))
    return Departures(**{name: getattr(rows, name) for name in rows.__dataclass_fields__}, **columns)


def no_fit() -> Fit:
    """Scores against no observations."""
    return Fit(*([np.empty(0)] * len(Fit.__dataclass_fields__)))


def experiment(folder: Path, monkeypatch, with_truth: bool = True, free: bool = True, more: str = "") -> Path:
    """Write all that verification reads, for two times; returns the experiment file, at its end `more` of [verify]."""
    monkeypatch.setenv("WORK", str(folder))
    text = f"""{builders.experiment("made", *TIMES, members=MEMBERS)}
[grid]
nlat = 8
nlon = 16
[state]
levels_hpa = [500, 850, 925]
[verify]
truth = "{'nature/%Y%m%d%H.nc' if with_truth else ''}"
{more}
"""
    path = folder / "made.toml"
    path.write_text(text)
    settings = config.load(path, Settings)
    space, home = settings.state.space(settings.grid.grid()), settings.experiment.folder
    for n, time in enumerate(TIMES):
        here = home.at(time)
        state.write(settings.truth(time) or folder / "unused.nc", builders.random_state(space, 100 + n, time))
        for e, ensemble in enumerate((here.background, here.analysis)):
            for m in range(1, MEMBERS + 1):
                state.write(ensemble.member(m), builders.random_state(space, 1000 * n + 100 * e + m, time), member=m)
            state.write(ensemble.mean, builders.random_state(space, 7 + e, time), statistic="mean")
        if free:
            for name in ("mean", "spread"):
                positive = np.abs(builders.random_state(space, 5, time).data)
                state.write(getattr(home.free(time), name), State(space, positive, time), statistic=name)
        window = (time - timedelta(hours=3), time + timedelta(hours=3))
        observations.write(here.departures, departures(n), Source(time, window))
    half_land = np.zeros(space.grid.shape)
    half_land[:, :8] = 1.0
    static.write(home.static, static.Static(space.grid, np.zeros(space.grid.shape), half_land))
    return path


def run(path: Path) -> Settings:
    for time in TIMES:
        verify.main(["scores", str(path), times.name(time)])
    return config.load(path, Settings)
