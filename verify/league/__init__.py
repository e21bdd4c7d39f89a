"""`python -m verify league LEAGUE.toml [EXPERIMENT.toml …]`: contestants of one task side by side, a table and a page.

`league.html` in WORK/NAME_OF_THE_LEAGUE: who stands where, and what is not distinguishable; scores by field, region and
distance to the stations; what analyses change; forecasts, balance, energy by scale, innovations, cost.  `league.csv`
beside it has the scores as numbers.  It reads what there is: a contestant that is not finished is shown with how far it
is.  Experiments named behind the league file take part as if they stood in it.
"""

from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from contracts import program
from contracts.errors import UserError
from verify import compare, page, status
from verify.league import character, config, deterministic, errors, leads, observed, records, standings
from verify.league.fields import Places
from verify.league.result import Result
from verify.league.table import Table


def main(arguments: Sequence[str]) -> None:
    """Write the page, print the table of standings and where the page is; raises UserError."""
    parser = program.parser("python -m verify league", __doc__ or "",
                            "python -m verify league run/leagues/january_february_1992.toml")
    parser.add_argument("league", type=Path, metavar="LEAGUE.toml")
    parser.add_argument("experiments", type=Path, nargs="*", metavar="EXPERIMENT.toml", help="further contestants")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--check", action="store_true", help="only whether all have the same task")
    instead.add_argument("--list", action="store_true", help="the same, and print their files, one a line")
    instead.add_argument("--forecasts", action="store_true",
                         help="the same, and print what `model_server deterministic` is told, one word a line")
    chosen = parser.parse_args(arguments)
    league, contestants = config.load(chosen.league, chosen.experiments)
    if chosen.forecasts:
        print("\n".join(deterministic.words(chosen.league, league, contestants)))
        return
    if chosen.list:
        print("\n".join(str(each.path) for each in contestants))
        return
    if chosen.check:
        print(f"{chosen.league}: {len(contestants)} contestants of the same task")
        return
    control = contestants[0].settings
    folder = deterministic.folder(chosen.league, control)
    path = folder.folder / "league.html"
    if not control.verify.truth:
        fits, waiting = observed.Fits.read(contestants)
        status.write(path, observed.html(chosen.league.stem, fits, waiting))
        tell(*observed.standings(fits))
        print(path)
        return
    places = Places.read(control, league)
    results = [Result.read(each, league, places, folder)
               for each in tqdm(contestants, unit="contestant", disable=None)]
    if not results[0].cycles:
        raise UserError(f"{control.experiment.folder.folder}: the control has no scores yet; run: run/league.sh "
                        f"{chosen.league}")
    material = Table.of(chosen.league.stem, league, results, deterministic.model(folder))
    status.write(path, html(material))
    records.write(path.with_suffix(".csv"), material)
    for header, rows in (standings.standings(material), standings.unfinished(material)):
        if rows:
            (first, second, *more), *others = header, *rows  # number and title in one column
            tell([f"{first} {second}", *more], [[f"{a} {b}", *rest] for a, b, *rest in others])
    print(path)


def tell(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table."""
    lines = [[cell.replace("\n", " ").strip() for cell in line] for line in (header, *rows)]
    print(compare.table(lines[0], lines[1:]) + "\n")


def html(table: Table) -> str:
    """The whole page; what has no data is left out."""
    sections = {
        "standing": ("Standings", standings.section(table)),
        "fields": ("Field by field", errors.fields(table)),
        "regions": ("By region", errors.regions(table)),
        "stations": ("Near stations and in voids", errors.stations(table)),
        "gains": ("What analyses change", errors.gains(table)),
        "forecasts": ("Forecasts from the analyses", leads.section(table)),
        "innovations": ("Innovations", character.innovations(table)),
        "balance": ("Balance and energy by scale", character.balance(table)),
        "cost": ("Cost", character.cost(table)),
        "contestants": ("Contestants", character.contestants(table)),
    }
    present = {name: (title, parts) for name, (title, parts) in sections.items() if any(parts)}
    body = [standings.head(table), page.contents({name: title for name, (title, _) in present.items()})]
    body += [page.section(name, title, *parts) for name, (title, parts) in present.items()]
    return page.document(f"League: {table.name}", "\n".join(body))
