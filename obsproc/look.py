"""Looks into files: what is in a PREPBUFR file, and what became of each observation.

What is imported inside a function here takes longer to load than `inspect` takes to decode a file; even NumPy does.
"""

from collections.abc import Sequence
from pathlib import Path

from contracts import program
from contracts.errors import UserError


def look_into(arguments: Sequence[str]) -> None:
    """Print what is in a PREPBUFR file."""
    parser = program.parser(
        "python -m obsproc inspect",
        "Print messages, subsets and levels of each message type of a PREPBUFR file, and count, sum, minimum and\n"
        "maximum of the current value of each mnemonic. With --account instead what becomes of each number: a row of\n"
        "observations.nc, or a coordinate of other rows.",
        "python -m obsproc inspect prepbufr.gdas.20201101.t12z.nr --json")
    parser.add_argument("file", type=Path, metavar="FILE", help="a PREPBUFR file")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--account", action="store_true", help="print what becomes of the numbers")
    parser.add_argument("--strict", action="store_true", help="refuse a file whose last message is cut short")
    given = parser.parse_args(arguments)
    if not given.file.is_file():
        raise UserError(f"{given.file}: no such file")
    from obsproc.bufr import files

    if given.account:
        from obsproc import accounts, prepbufr

        print(accounts.of_file(files.read_file(given.file, prepbufr.WANTED, accept_truncated=not given.strict)))
        return
    from obsproc import inventory

    tell = inventory.as_json if given.json else inventory.as_text
    print(tell(files.read_in_parts(given.file, inventory.WANTED, accept_truncated=not given.strict)))


def give_account(arguments: Sequence[str]) -> None:
    """Print the fates of a table of observations."""
    parser = program.parser(
        "python -m obsproc account",
        "Print how many rows of each message type, report type and quantity met which fate. For observations.nc these\n"
        "are the fates before the analysis, for departures.nc the final ones. The counts add up to the rows.",
        "python -m obsproc account work/prepbufr_1989/1989010112/observations.nc")
    parser.add_argument("file", type=Path, metavar="FILE", help="observations.nc, or departures.nc of an analysis")
    given = parser.parse_args(arguments)
    from contracts import observations
    from obsproc import accounts

    read = observations.read_departures if given.file.name.startswith("departures") else observations.read
    print(accounts.table(read(given.file)[0], by_type=True))


def print_usage(arguments: Sequence[str]) -> None:
    """Print which observations are used."""
    parser = program.parser(
        "python -m obsproc usage",
        "Print by report type and quantity what is used and what is monitored where [observations] names no usage\n"
        "table: a table to begin with, for [observations] usage.",
        "python -m obsproc usage run/experiments/prepbufr_1989.toml > usage.csv")
    program.add_experiment(parser)
    given = parser.parse_args(arguments)
    from contracts import config
    from obsproc import errors, usage
    from obsproc.config import Settings

    chosen = config.load(given.experiment, Settings).observations
    print(usage.default(errors.chosen(chosen.errors)[0], chosen.quantities, chosen.error_factors))


def write_table(arguments: Sequence[str]) -> None:
    """Write what a PREPBUFR file says as a Parquet file."""
    parser = program.parser(
        "python -m obsproc table",
        "Write the levels of a PREPBUFR file as a Parquet table: a row per level, a column per mnemonic, current\n"
        "values in the units of the file; or, with --events, every value of one stack. pip install .[table] brings\n"
        "what it takes. From Python: obsproc.open_prepbufr.",
        "python -m obsproc table prepbufr.gdas.20201101.t12z.nr observations.parquet --type ADPUPA")
    parser.add_argument("file", type=Path, metavar="FILE", help="a PREPBUFR file")
    parser.add_argument("out", type=Path, metavar="OUT.parquet", help="the file to write")
    parser.add_argument("--type", action="append", default=[], metavar="TYPE", help="a message type; all if not given")
    parser.add_argument("--events", metavar="STACK", help="such as T__EVENT, of the one message type given")
    parser.add_argument("--names", choices=("mnemonics", "words", "nnja", "earth2studio"),
                        default="mnemonics", help="what columns are called; earth2studio: a row per number, in SI")
    given = parser.parse_args(arguments)
    if not given.file.is_file():
        raise UserError(f"{given.file}: no such file")
    if given.events and (len(given.type) != 1 or given.names != "mnemonics"):
        parser.error("--events needs one --type, and has mnemonics only")
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UserError(f"table needs pyarrow ({error}); install it with: pip install .[table]") from None
    from contracts import paths
    from obsproc.opened import open_prepbufr

    opened = open_prepbufr(given.file, given.type)
    table = (pyarrow.table(opened.events(given.type[0], given.events)) if given.events
             else opened.arrow(names=given.names))
    with paths.atomic(given.out) as partial:
        parquet.write_table(table, partial)
