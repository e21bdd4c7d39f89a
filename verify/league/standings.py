"""Section of the page of a league: who stands where, and who is not through yet."""

from contracts import times
from verify import bootstrap, page
from verify.league import picture
from verify.league.result import Result
from verify.league.standing import compared
from verify.league.table import NONE, Rows, Table, mean
from verify.report.material import plain
from verify.score_file import units


def head(table: Table) -> str:
    """Name and extent of the league."""
    experiment = table.control.contestant.settings.experiment
    whole = sum(each.finished for each in table.results)
    said = (f"{len(table.results)} contestants, {whole} of them through: the same truth, stations, first ensemble, "
            f"dates ({times.name(experiment.start)} to {times.name(experiment.end)}, every {experiment.step_hours} "
            f"hours) and seed. The control is {table.control.title}.")
    state = "complete" if whole == len(table.results) else "not finished"
    return page.heading(plain(table.name), state) + page.paragraph(said)


def section(table: Table) -> list[str]:
    """The one table, its picture, and who is not through."""
    found, waiting = compared(table.begun, table.control, table.overall), unfinished(table)
    league = table.league
    return [
        page.paragraph(
            f"Root mean squares over blocks of {league.block_days} days, the first {league.skip_days} days left out. "
            f"Per cent are of {table.control.title}, paired by block, and in brackets the 95 per cent interval of a "
            "bootstrap of the blocks, widened for how few they are; of five blocks it covers about 92 per cent. A * "
            f"marks those that leave out zero; of fewer than {bootstrap.LEAST} blocks nothing is marked or ranked. "
            "Nothing is corrected for the number of comparisons. What a run carries with it through all blocks, "
            "in voids above all, is in no interval: other seeds tell.", "note"),
        page.paragraph(
            "All fields: the geometric mean of the analysis RMSE of the channels to the right, global. Place: from one "
            "more than how many are better to as many as are not worse; those whose difference may be none are named "
            "by their number.", "note"),
        page.table(*standings(table), 2),
        page.figures([picture.differences("analysis RMSE, all fields", table.control.title, found)] if found else []),
        "<h3>Not finished</h3>" + page.table(*waiting, 5) if waiting[1] else "",
    ]


def standings(table: Table) -> tuple[list[str], Rows]:
    """The one table, of those that have blocks: place, and the analysis RMSE of the channels."""
    header = ["", "contestant", "days", f"all fields, % of\n{table.control.title}", "place",
              "not distinguishable\nfrom", *(f"{plain(name)}\n{units(name)}" for name in table.channels)]
    return header, [_stands(table, each) for each in table.begun]


def _stands(table: Table, result: Result) -> list[str]:
    place, ranked = table.places.get(result.title), list(table.places)
    others = sorted(table.number(ranked[other]) for other in place.equals) if place else []
    days = f"{result.days:g}" if result.finished else f"{result.days:g} of {result.planned_days:g}"
    return [*table.row(result), days, table.percent(result, table.overall(table.control), table.overall(result)),
            str(place or NONE), ", ".join(map(str, others)) or NONE,
            *(mean(result.score("analysis_rmse", name)) for name in table.channels)]


def unfinished(table: Table) -> tuple[list[str], Rows]:
    """How far those are that have not all blocks."""
    rows = [[*table.row(each), each.state, f"{len(each.cycles)} of {each.planned}", each.reason]
            for each in table.results if not each.finished]
    return ["", "contestant", "state", "cycles", "last words"], rows
