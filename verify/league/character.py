"""Sections of the page of a league on what analyses are like: innovations, balance, energy by scale, cost, files."""

from itertools import chain

from contracts.variables import Flag, Quantity
from verify import page
from verify.fit import Fit
from verify.league.result import Result
from verify.league.table import NONE, Table
from verify.report.material import plain
from verify.summary import number

SCALES = ("kinetic energy", "temperature")


def innovations(table: Table) -> list[str]:
    """Fit and consistency by quantity; empty where nothing was assimilated."""
    fits = {each.title: Fit.join([cycle.fit for block in each.blocks for cycle in block]) for each in table.begun}
    shown = [one for one in Quantity if any(len(fit.select(Flag.assimilated, one)) for fit in fits.values())]
    header = ["", "contestant",
              *chain(*([f"{plain(one.name)}, {one.units}\nRMS O−B", "\nO−A", "\nconsistency"] for one in shown))]
    rows = [[*table.row(each), *chain(*(_fit(fits[each.title], one) for one in shown))] for each in table.begun]
    said = ("Assimilated observations. Consistency is the mean square of O−B over the sum of the squares of background "
            "spread and error given: 1 where both are right, above it where they are too small. O−A below the error "
            "given may be a fit to noise.")
    return [page.paragraph(said, "note"), page.table(header, rows, 2)] if shown else []


def _fit(fit: Fit, quantity: Quantity) -> list[str]:
    total = fit.select(Flag.assimilated, quantity).total()
    expected = total["background_spread"] ** 2 + total["error"] ** 2
    return [number(value) for value in (total["omb_rms"], total["oma_rms"], total["omb_rms"] ** 2 / expected)]


def balance(table: Table) -> list[str]:
    """Increments against geostrophy, and small scales; empty without fields."""
    rows = [[*table.row(each), *_character(each)] for each in table.begun if each.fields is not None]
    header = ["", "contestant", "geostrophic\ncorrelation", "\nslope",
              *(f"{'small scales, of truth' if name == SCALES[0] else ''}\n{name}" for name in SCALES), "times"]
    said = ("Increments at 500 hPa, poleward of 15 degrees: how their wind goes with the geostrophic wind of their "
            "geopotential, 1 and 1 in balance. Small scales: energy of the analysis' mean in the smallest third of the "
            "wavenumbers over that of the truth; a mean of members that disagree is smooth, so below 1 is expected, "
            "and above it is noise.")
    return [page.paragraph(said, "note"), page.table(header, rows, 2)] if rows else []


def _character(result: Result) -> list[str]:
    found = result.fields
    assert found is not None
    agreement = [f"{found.balance.correlation:.2f}", f"{found.balance.slope:.2f}"] if found.balance else [NONE, NONE]
    return [*agreement, *(f"{found.energy[name]:.2f}" if name in found.energy else NONE for name in SCALES),
            str(len(found.times))]


def cost(table: Table) -> list[str]:
    """Processor seconds and memory, where they were written down."""
    header = ["", "contestant", "members", "CPU-seconds\na cycle", "memory\nMiB", "cycles\nmeasured",
              "training\nminutes"]
    said = ("Processor seconds of all programs, starting and scoring included, over the cycles of the runs that wrote "
            "them down; memory: the most that all services held, added up. Training: processor minutes of what was "
            "fitted for this contestant alone, as the league file says.")
    rows = [[*table.row(each), *_cost(each)] for each in table.results]
    return [page.paragraph(said, "note"), page.table(header, rows, 2)]


def _cost(result: Result) -> list[str]:
    found, training = result.cost, result.contestant.training_minutes
    measured = [f"{found.cpu_seconds:.2f}", f"{found.peak_mib:.0f}" if found.peak_mib else NONE,
                str(found.cycles)] if found else [NONE] * 3
    return [str(result.members), *measured, NONE if training is None else f"{training:g}"]


def contestants(table: Table) -> list[str]:
    """Whose file is which."""
    rows = [[*table.row(each), each.contestant.settings.experiment.name, each.contestant.path.name]
            for each in table.results]
    said = "Another one takes part by an experiment file, named in the league file or behind it on the command line."
    return [page.paragraph(said, "note"), page.table(["", "contestant", "experiment", "file"], rows, 4)]
