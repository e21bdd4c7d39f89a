"""Parameters of a model from some days of observations, through linear dynamics in a latent: named coordinates or not.

    python -m tests.benchmarks.parameters_in_latent CATALOGUE.toml OBSERVATIONS.nc [--tested 8] [--days 5 10]

The latent holds principal components of the zonal means of the catalogue's states.  Dynamics are fitted on its first
runs, once with the parameters as coordinates and once with as many that nobody named, which a regression turns into
parameters afterwards.  Both are asked for the parameters of the last runs, which neither has seen, from means over
20 degrees of latitude of what the stations of OBSERVATIONS.nc measure there every twelve hours: winds, temperature and
humidity, with the errors of that file.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contracts import config, observations, state
from contracts.state import StateSpace
from contracts.variables import Flag, Quantity
from model_server import catalogue
from networks.latent import parametric
from networks.latent.parametric import Gaussian, Observed

BAND_DEGREES = 20.0
MODES = 30
QUANTITIES = ("u_component_of_wind", "v_component_of_wind", "temperature", "specific_humidity")
SEED = 5


@dataclass(frozen=True)
class Stations:
    """What is measured: of each row channel and column of a state, the number of its mean, and the precision."""

    channel: np.ndarray
    column: np.ndarray
    which: np.ndarray
    precision: np.ndarray

    @classmethod
    def of(cls, path: Path, space: StateSpace) -> "Stations":
        """The levels and places of a table of radiosondes, each at the column nearest to it."""
        table, _ = observations.read(path)
        channels = {(channel.variable, channel.pressure): number for number, channel in enumerate(space.channels)}
        keys = [(Quantity(code).name, pressure) for code, pressure in zip(table.quantity, table.pressure, strict=True)]
        rows = np.array([key[0] in QUANTITIES and key in channels for key in keys]) & (table.flag == Flag.passed)
        channel = np.array([channels[key] for key, row in zip(keys, rows, strict=True) if row])
        lat, lon = (np.deg2rad(table.lat[rows]), np.deg2rad(table.lon[rows]))
        of_grid = (np.deg2rad(space.grid.column_lat), np.deg2rad(space.grid.column_lon))
        cosine = (np.sin(lat)[:, None] * np.sin(of_grid[0])
                  + np.cos(lat)[:, None] * np.cos(of_grid[0]) * np.cos(lon[:, None] - of_grid[1]))
        places = np.stack([channel, np.floor((table.lat[rows] + 90.0) / BAND_DEGREES)])
        which = np.unique(places, axis=1, return_inverse=True)[1].ravel()
        return cls(channel, cosine.argmax(axis=1), which, 1.0 / table.error[rows].astype(float) ** 2)

    @property
    def variance(self) -> np.ndarray:
        return 1.0 / np.bincount(self.which, self.precision)

    def means(self, x: np.ndarray) -> np.ndarray:
        """(n,) of a state (channel, lat, lon), without errors."""
        seen = x.reshape(len(x), -1)[self.channel, self.column]
        return np.bincount(self.which, self.precision * seen) * self.variance


@dataclass(frozen=True)
class Runs:
    """Of each run its zonal means (time, m), what stations would see without error (time, n), and its parameters as
    shares of half a range from the middle (run, p)."""

    zonal: list[np.ndarray]
    seen: list[np.ndarray]
    theta: np.ndarray


def read(settings: catalogue.Settings, stations: Stations, skip: int) -> Runs:
    """The runs of the catalogue that are complete, without the first `skip` states."""
    zonal, seen, theta = [], [], []
    for run in catalogue.runs(settings):
        if not run.folder.restart(run.end).exists():
            continue
        paths = sorted(run.folder.folder.glob("[0-9]*.nc"))[skip:]
        states = [state.read(path, settings.space).data for path in paths]
        zonal.append(np.stack([x.mean(axis=2).reshape(-1) for x in states]))
        seen.append(np.stack([stations.means(x) for x in states]))
        low, width = (np.array([getattr(one, name) for one in run.own.of]) for name in ("low", "width"))
        theta.append(2 * (run.own.values[0] - low) / width - 1)
    return Runs(zonal, seen, np.array(theta))


def compare(runs: Runs, stations: Stations, tested: int, days: list[int], modes: int = MODES) -> None:
    """Print the errors of the last `tested` runs, in per cent of the ranges."""
    trained = len(runs.zonal) - tested
    together = np.concatenate(runs.zonal[:trained])
    mean, scale = together.mean(axis=0), together.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    _, values, basis = np.linalg.svd((together - mean) / scale, full_matrices=False)
    project = (basis[:modes] * np.sqrt(len(together)) / values[:modes, None]) / scale  # (k, m): unit variances
    z = [(run - mean) @ project.T for run in runs.zonal]
    fitted, p = np.concatenate(z[:trained]), runs.theta.shape[1]
    H, h, rest = parametric.regression(fitted, np.concatenate(runs.seen[:trained]))
    observed = Observed(H, h, rest + np.diag(stations.variance))
    before = Gaussian(fitted.mean(axis=0), np.cov(fitted.T))
    named = parametric.supervised(z[:trained], runs.theta[:trained])
    nameless, coordinates = parametric.unsupervised(z[:trained], p)
    slope, offset, _ = parametric.regression(coordinates, runs.theta[:trained])
    print(f"{trained} runs trained on, {tested} tested, {modes} modes, {len(observed.h)} means of observations")
    for length in days:
        found: dict[str, list[np.ndarray]] = {"supervised": [], "unsupervised": [], "middle of the range": []}
        rng = np.random.default_rng(SEED)
        for number in range(trained, len(z)):
            steps = 2 * length + 1
            for start in range(0, len(z[number]) - steps + 1, max(1, steps // 3)):
                seen = runs.seen[number][start : start + steps]
                y = seen + np.sqrt(stations.variance) * rng.standard_normal(seen.shape)
                own = runs.theta[number]
                one = parametric.estimate(named, observed, y, before, Gaussian(np.zeros(p), np.eye(p) / 3)).mean
                other = parametric.estimate(nameless, observed, y, before, Gaussian(np.zeros(p), np.eye(p))).mean
                found["supervised"].append(np.clip(one, -1, 1) - own)
                found["unsupervised"].append(np.clip(slope @ other + offset, -1, 1) - own)
                found["middle of the range"].append(-own)
        for name, errors in found.items():
            share = 50 * np.abs(errors)  # per cent of the whole range
            print(f"{length} days, {len(share)} starts, {name}: median {np.median(share):.1f}, by parameter "
                  f"{', '.join(f'{value:.1f}' for value in np.median(share, axis=0))}; all within 10: "
                  f"{100 * (share.max(axis=1) <= 10).mean():.0f} per cent of starts")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("observations", type=Path)
    parser.add_argument("--tested", type=int, default=8, help="runs at the end that nothing is fitted on")
    parser.add_argument("--days", type=int, nargs="+", default=[5, 10])
    parser.add_argument("--skip", type=int, default=10, help="states at the beginning of each run that are left out")
    chosen = parser.parse_args()
    settings = config.load(chosen.catalogue, catalogue.Settings)
    stations = Stations.of(chosen.observations, settings.space)
    compare(read(settings, stations, chosen.skip), stations, chosen.tested, chosen.days)


if __name__ == "__main__":
    main()
