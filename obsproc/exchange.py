"""The commands that hand observations to others and take them: `encode` and `ioda`."""

import logging
from collections.abc import Sequence
from pathlib import Path

from contracts import guarded, observations, program, times
from contracts.errors import UserError
from obsproc import ioda, ioda_export, ioda_source, pipeline, writer
from obsproc.config import Observations

log = logging.getLogger("obsproc")


def encode(arguments: Sequence[str]) -> None:
    """Write an observations file as PREPBUFR."""
    parser = program.parser(
        "python -m obsproc encode",
        "Write an observations file as a PREPBUFR file with its tables embedded, for NCEP's programs or to read it\n"
        "back as if it were real data. Every number comes back to within half of its last decimal.",
        "python -m obsproc encode work/prepbufr_1989/1989010112/observations.nc observations.prepbufr")
    parser.add_argument("observations", type=Path, metavar="OBSERVATIONS.nc", help="a file of contract observations/1")
    parser.add_argument("file", type=Path, metavar="FILE.prepbufr", help="the file to write")
    given = parser.parse_args(arguments)
    count = writer.convert_file(given.observations, given.file)
    log.info("wrote %d reports to %s", count, given.file)


def exchange_ioda(arguments: Sequence[str]) -> None:
    """Export to, or import from, the layout of JCSDA's IODA."""
    parser = program.parser(
        "python -m obsproc ioda",
        "export: an observations file into the IODA layout, version 3. import: an IODA file of conventional\n"
        "observations into an observations file, judged like every other source where it is not one of ours.",
        "python -m obsproc ioda export work/prepbufr_1989/1989010112/observations.nc observations.ioda.nc")
    parser.add_argument("direction", choices=("export", "import"))
    parser.add_argument("source", type=Path, metavar="FROM", help="the file to read")
    parser.add_argument("target", type=Path, metavar="TO", help="the file to write")
    parser.add_argument("--time", type=times.parse, metavar="TIME",
                        help="import: cycle time, YYYYMMDDHH in UTC, where the file does not say it")
    given = parser.parse_args(arguments)
    if given.direction == "export":
        table, source = observations.read(given.source)
        ioda_export.export_file(given.target, table, source)
    else:
        if not given.source.is_file():
            raise UserError(f"{given.source}: no such file")
        table, source = guarded.read(ioda.import_file, given.source, given.time)
        if not ioda.is_ours(given.source):
            read = ioda_source.read_file(given.source, source.time)
            table = pipeline.judge(read.candidates, Observations(), source.time)
        observations.write(given.target, table, source)
    log.info("wrote %d observations to %s", len(table), given.target)
