"""`python -m obsproc`: one file of observations for one analysis time, or a look into a PREPBUFR file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from contracts import config, observations, program, times
from contracts.errors import UserError
from obsproc import accounts, inventory, pipeline, synthetic
from obsproc.bufr import files
from obsproc.config import Settings

log = logging.getLogger("obsproc")


def main(arguments: Sequence[str]) -> None:
    if list(arguments[:1]) == ["inspect"]:
        look_into(arguments[1:])
    else:
        make(arguments)


def make(arguments: Sequence[str]) -> None:
    """Write observations.nc of one time."""
    parser = program.parser(
        "python -m obsproc",
        "Make observations.nc of one analysis time from PREPBUFR files or, in a twin experiment, from the truth.\n"
        "To look into a PREPBUFR file: python -m obsproc inspect --help",
        "python -m obsproc run/experiments/prepbufr_1989.toml 1989010112")
    program.add_experiment(parser)
    parser.add_argument("time", type=times.parse, metavar="TIME", help="analysis time, YYYYMMDDHH in UTC")
    given = parser.parse_args(arguments)
    settings = config.load(given.experiment, Settings)
    folder = settings.experiment.folder.at(given.time)
    program.log_to_file(folder.log("obsproc"))
    table, source = observe(settings, given.time)
    log.info("%d observations of %s, by fate:\n%s", len(table), times.name(given.time), accounts.table(table))
    observations.write(folder.observations, table, source, settings.experiment.name)
    log.info("wrote %s", folder.observations)


def observe(settings: Settings, time: datetime) -> tuple[observations.Observations, observations.Source]:
    if settings.observations.source == "synthetic":
        return synthetic.observe(settings, time)
    return pipeline.observe(settings, time)


def look_into(arguments: Sequence[str]) -> None:
    """Print what is in a PREPBUFR file."""
    parser = program.parser(
        "python -m obsproc inspect",
        "Print messages, subsets and levels of each message type of a PREPBUFR file, and count, sum, minimum and\n"
        "maximum of the current value of each mnemonic.",
        "python -m obsproc inspect prepbufr.gdas.20201101.t12z.nr --json")
    parser.add_argument("file", type=Path, metavar="FILE", help="a PREPBUFR file")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--strict", action="store_true", help="refuse a file whose last message is cut short")
    given = parser.parse_args(arguments)
    if not given.file.is_file():
        raise UserError(f"{given.file}: no such file")
    decoded = files.read_file(given.file, inventory.WANTED, accept_truncated=not given.strict)
    print(inventory.as_json(decoded) if given.json else inventory.as_text(decoded))


if __name__ == "__main__":
    program.run(main, "obsproc")
