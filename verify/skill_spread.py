"""Extended forecasts against the truth, lead by lead: does the spread grow as the error does?

Over all times from which members were kept (`model_server forecast TIME --steps N --write members`), at each lead:

    rmse   = √ mean over the starts of ⟨(x̄ − y)²⟩          spread = √ mean of ⟨s²⟩          crps  the fair one, its mean
    ratio  = √((k+1)/k) spread / rmse                        1 for a reliable ensemble (Fortin et al. 2014)
    ranks    of the truth among the members, by area: uniform for a reliable ensemble (Hamill 2001, MWR 129, 550)

⟨⟩ is the mean over a region, see `scores`.  A truth equal to members, as where there is no moisture, stands below them.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

import numpy as np

from contracts import config, netcdf, program, state
from contracts.constants import HOUR
from contracts.ensemble import read_members
from contracts.errors import UserError
from contracts.paths import EnsembleFolder
from contracts.state import StateSpace
from verify import ensembles, score_file, scores
from verify.config import Settings
from verify.summary import number

CONTRACT = "skill_spread/1"
log = logging.getLogger("verify")


@dataclass(frozen=True)
class Skill:
    """Sums over `starts` forecasts: squared error of the mean, variance and CRPS, each (region, channel), and `ranks`
    (region, channel, k + 1), shares of the area with the truth above so many members."""

    starts: int
    square: np.ndarray
    variance: np.ndarray
    crps: np.ndarray
    ranks: np.ndarray

    def __add__(self, other: Self) -> "Skill":
        return Skill(*(getattr(self, name) + getattr(other, name) for name in Skill.__dataclass_fields__))

    @property
    def members(self) -> int:
        return self.ranks.shape[-1] - 1

    @property
    def table(self) -> dict[str, np.ndarray]:
        """rmse, spread, crps and ratio, each (region, channel)."""
        rmse, spread = (np.sqrt(part / self.starts) for part in (self.square, self.variance))
        reliable = np.sqrt((self.members + 1) / self.members) * spread
        ratio = np.divide(reliable, rmse, out=np.full_like(rmse, np.inf), where=rmse > 0)
        return {"rmse": rmse, "spread": spread, "crps": self.crps / self.starts, "ratio": ratio}


def skill(X: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> Skill:
    """Of one forecast, `X` (member, channel, lat, lon), against `truth` (channel, lat, lon) by region."""
    found = scores.ensemble_scores(X, truth, weights)
    above = np.count_nonzero(truth > X, axis=0)
    ranks = np.stack([scores.regional_mean(above == rank, weights) for rank in range(len(X) + 1)], axis=-1)
    return Skill(1, found["rmse"] ** 2, found["spread"] ** 2, found["crps"], ranks)


def main(arguments: Sequence[str]) -> None:
    parser = program.parser(
        "python -m verify skill-spread",
        "Error, spread, fair CRPS and ranks of the extended forecasts of an experiment by lead, against its truth:\n"
        "a table for the first region, and skill_spread.nc for all.",
        "python -m verify skill-spread run/experiments/twin_speedy.toml --leads 6 24 72 120",
    )
    program.add_experiment(parser)
    parser.add_argument("--leads", type=int, nargs="+", metavar="HOURS", help="those to show (default: all)")
    parser.add_argument("--channels", nargs="+", metavar="NAME", help="those to show (default: [verify] headline)")
    chosen = parser.parse_args(arguments)
    settings = config.load(chosen.experiment, Settings)
    space = settings.state.space(settings.grid.grid())
    known = {channel.name for channel in space.channels}
    names = chosen.channels or [name for name in settings.verify.headline if name in known]
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"--channels: the states have no {', '.join(unknown)}; they have {', '.join(sorted(known))}")
    found = collect(settings, space)
    if unknown := [str(lead) for lead in chosen.leads or () if lead not in found]:
        raise UserError(f"--leads: there are no forecasts of {', '.join(unknown)} h; there are those of "
                        f"{', '.join(map(str, found))} h")
    path = settings.experiment.folder.folder / "skill_spread.nc"
    write(path, settings, space, found)
    print(text(space, found, names, chosen.leads))
    print(f"\n{path}")


def collect(settings: Settings, space: StateSpace) -> dict[int, Skill]:
    """By lead in hours, over all times; raises UserError where there is no truth or no forecast with members."""
    pattern = settings.verify.truth
    if not pattern:
        raise UserError('[verify] truth names none, and error and ranks need one; set it, such as "nature/%Y%m%d%H.nc"')
    weights = scores.region_weights(space.grid, settings.verify.regions)
    found: dict[int, Skill] = {}
    for start in settings.experiment.times():
        for lead, folder in _forecasts(settings, start):
            truth = settings.experiment.file(pattern, start + timedelta(hours=lead))
            if not truth.exists():
                log.warning("%s: no such file; what was forecast for it is passed over", truth)
                continue
            one = _score(settings, space, folder, truth, start + timedelta(hours=lead), weights)
            found[lead] = found[lead] + one if lead in found else one
    if not found:
        raise UserError(f"{settings.experiment.folder.folder}: holds no extended forecast with members and a truth; "
                        "python -m model_server forecast EXPERIMENT.toml TIME --steps N --write members")
    return dict(sorted(found.items()))


def _forecasts(settings: Settings, start: datetime) -> Iterator[tuple[int, EnsembleFolder]]:
    """Lead in hours and folder of each forecast from `start` whose members are all there."""
    count = settings.experiment.members
    for path in sorted((settings.experiment.folder.at(start).folder / "forecast").glob("[0-9]*h")):
        folder = EnsembleFolder(path)
        if folder.is_complete(count) and not folder.tidied.exists():
            yield int(path.name[:-1]), folder


def _score(settings: Settings, space: StateSpace, folder: EnsembleFolder, truth: Path, time: datetime,
           weights: np.ndarray) -> Skill:
    """One forecast, by groups of variables, so that memory stays flat."""
    count, parts = settings.experiment.members, []
    for group in ensembles.groups(space, count, settings.verify.memory_gib * ensembles.GIB):
        X = read_members(folder, range(count), group, time).reshape(count, *group.shape)
        parts.append(skill(X, state.read(truth, group, time).data, weights))
    arrays = ([getattr(part, name) for part in parts] for name in ("square", "variance", "crps", "ranks"))
    return Skill(1, *(np.concatenate(several, axis=1) for several in arrays))


def text(space: StateSpace, found: dict[int, Skill], names: Sequence[str], leads: Sequence[int] | None) -> str:
    """The table of the first region in Markdown."""
    lines = ["| channel | lead h | starts | rmse | spread | spread/error | crps | outside |",
             "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    order = [channel.name for channel in space.channels]
    for name in names:
        column = order.index(name)
        for lead, one in found.items():
            if leads and lead not in leads:
                continue
            rmse, spread, crps, ratio = (float(values[0, column]) for values in one.table.values())
            ranks = one.ranks[0, column] / one.starts
            outside = (ranks[0] + ranks[-1]) * len(ranks) / 2
            lines.append(f"| {name} | {lead} | {one.starts} | {number(rmse)} | {number(spread)} | {ratio:.2f} | "
                         f"{number(crps)} | {outside:.2f} |")
    return "\n".join([*lines, "", "spread/error: 1 is reliable; outside: truths beyond all members, 1 is reliable"])


def write(path: Path, settings: Settings, space: StateSpace, found: dict[int, Skill]) -> None:
    """All leads, regions and channels; the leads must have as many members."""
    names = [channel.name for channel in space.channels]
    with netcdf.create(path, CONTRACT, {"experiment": settings.experiment.name, "crps_form": "fair (Ferro 2014)",
                                        "members": np.int32(settings.experiment.members)}) as dataset:
        for dimension, size in (("lead", len(found)), ("rank", settings.experiment.members + 1)):
            dataset.add_dimension(dimension, size)
        seconds = np.array([lead * HOUR for lead in found], np.int64)
        netcdf.add(dataset, "lead", ("lead",), seconds, units="s", standard_name="forecast_period")
        score_file.add_names(dataset, "region", tuple(settings.verify.regions))
        score_file.add_names(dataset, "channel", names)
        score_file.add_names(dataset, "units", [score_file.units(name) for name in names], "channel")
        netcdf.add(dataset, "starts", ("lead",), np.array([one.starts for one in found.values()], np.int32))
        tables = [one.table for one in found.values()]
        for name in tables[0]:
            netcdf.add(dataset, name, ("lead", "region", "channel"), np.stack([table[name] for table in tables]))
        ranks = np.stack([one.ranks / one.starts for one in found.values()])
        netcdf.add(dataset, "rank_share", ("lead", "region", "channel", "rank"), ranks)
