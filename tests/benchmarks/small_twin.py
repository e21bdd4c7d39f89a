"""A small twin experiment for `cycle.py`, four cycles on 8 x 16 points; with a file, each of its cycles reads that one.

    python -m tests.benchmarks.small_twin FOLDER [--wmo FILE.bufr --start 2008-12-08T12]      prints its file's path
"""

import argparse
from datetime import datetime, timedelta
from pathlib import Path

from tests.system import experiment

CYCLES = 4


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.benchmarks.small_twin", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wmo", type=Path, metavar="FILE", help="of WMO BUFR messages (default: synthetic ones)")
    parser.add_argument("--start", default="1989-01-01T00", help="when FILE's reports were made")
    chosen = parser.parse_args()
    start = datetime.fromisoformat(chosen.start)
    end = start + (CYCLES - 1) * timedelta(hours=6)
    text = experiment.TEXT
    for old, new in (("1989-01-01T06", end), ("1989-01-01T00", start)):
        text = text.replace(old, f"{new:%Y-%m-%dT%H}")
    if chosen.wmo is not None:
        text = text.replace('source = "synthetic"', f'source = "wmo"\nfiles = ["{chosen.wmo.resolve()}"]')
    print(experiment.make(chosen.folder.resolve(), text).path)


if __name__ == "__main__":
    main()
