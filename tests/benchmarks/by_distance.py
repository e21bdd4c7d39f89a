"""Gains and losses of an analysis by the distance to the nearest station: a composite over columns and times.

    python -m tests.benchmarks.by_distance EXPERIMENT.toml… [--channels NAME…] [--bounds KM…]

For each class of distances the RMSE of the background's mean, and by how many per cent that of the analysis differs,
with the interval over ten-day blocks of `verify.bootstrap`, at every thirtieth hour from the eleventh day on.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from contracts import config, observations, program
from contracts.errors import UserError
from contracts.variables import Flag
from verify.blocks import ENSEMBLES
from verify.compare import table
from verify.config import Settings
from verify.league.config import League
from verify.league.fields import Fields, Places
from verify.league.standing import difference
from verify.league.table import marked
from verify.summary import number

BOUNDS_KM = (0, 200, 400, 600, 800, 1000, 1500, 2000, np.inf)


def main(arguments: Sequence[str]) -> None:
    parser = program.parser("python -m tests.benchmarks.by_distance", __doc__ or "",
                            "python -m tests.benchmarks.by_distance run/experiments/league/letkf_600km.toml")
    parser.add_argument("experiments", nargs="+", type=Path, metavar="EXPERIMENT.toml")
    parser.add_argument("--channels", nargs="+", metavar="NAME", help="default: [verify] headline")
    parser.add_argument("--bounds", nargs="+", type=float, default=BOUNDS_KM, metavar="KM", help="of the classes")
    chosen = parser.parse_args(arguments)
    for path in chosen.experiments:
        settings = config.load(path, Settings)
        print(f"\n{settings.experiment.name}\n")
        print(composite(settings, League(), chosen.bounds, chosen.channels or settings.verify.headline))


def composite(settings: Settings, league: League, bounds_km: Sequence[float], channels: Sequence[str]) -> str:
    """In Markdown; raises UserError where nothing has been scored after the days that are left out."""
    folder, grid, all_times = settings.experiment.folder, settings.grid.grid(), settings.experiment.times()
    count = next((n for n, time in enumerate(all_times) if not folder.at(time).scores.exists()), len(all_times))
    departures, _ = observations.read_departures(folder.at(all_times[0]).departures)
    used = departures.flag == Flag.assimilated
    places = Places.of(grid, departures.lat[used], departures.lon[used], bounds_km)
    found = Fields.read(settings, league, places, count)
    blocks = int((all_times[count - 1] + settings.experiment.step - all_times[0]).days - league.skip_days
                 ) // league.block_days if count else 0
    if found is None or blocks < 2:
        raise UserError(f"{folder.folder}: {count} cycles have scores; a composite needs two blocks of "
                        f"{league.block_days} days after the first {league.skip_days}")
    rows = []
    for channel in channels:
        cells = []
        for place in found.places:
            before, after = (found.blocks(league, all_times[0], blocks, which, place, channel) for which in ENSEMBLES)
            change = difference(np.log(after), np.log(before))
            assert change is not None
            cells.append(f"{number(float(before.mean()))}: {marked(change)}")
        rows.append([channel, *cells])
    return table(["background RMSE: analysis, %", *found.places], rows)


if __name__ == "__main__":
    program.run(main, "by_distance")
