"""The analysis program of the second wing: background members and observations in, analysis members and departures out.

    python -m neural_da.analysis EXPERIMENT.toml 1989010106                   # one time
    python -m neural_da.analysis EXPERIMENT.toml --follow                     # all times, when their inputs are there
    python -m neural_da.analysis EXPERIMENT.toml 1989010106 --members 1:10    # these members and nothing else

One process, members over threads; the files are those of the LETKF program.  `departures.nc` is written last: its
presence says that the analysis is complete.  Nothing that decides a result is kept from one time to the next but in
files, so that a service that was killed and started again, or one process for each time, give the same bits.

Several processes share the work as separate analyses of members (`--members`), with the same bits; one with `--rest`
then makes what is missing and finishes.
"""

import argparse
import logging
from collections.abc import Sequence

import numpy as np

from contracts import frozen, launcher, program, times
from contracts.analysis import each_time, next_time, parse
from contracts.errors import UserError
from contracts.follow import Follower
from neural_da.config import load

PROGRAM = "neural_da.analysis"
log = logging.getLogger(PROGRAM)


def main(arguments: Sequence[str]) -> None:
    """Read the command line and the experiment; analyse the time asked for, or all of them."""
    launcher.refuse_several(PROGRAM, "share the members out with --members 1:10")
    chosen = parse(arguments, PROGRAM,
                   "Make the analysis of a time from its background and observations with the method of [neural].",
                   "python -m neural_da.analysis run/experiments/neural/three_d_var.toml 1992010106",
                   _add_members)
    settings = load(chosen.experiment)
    from neural_da.analyst import Analyst  # here, because torch takes a second, too long for a word of help

    experiment, analyst = settings.experiment, Analyst(settings)
    if chosen.follow:
        if chosen.members or chosen.rest:
            raise UserError("--follow analyses all members of every time: leave --members and --rest out")
        frozen.refuse_other(chosen.experiment, experiment)
        with Follower(experiment, PROGRAM) as follower:
            for time in each_time(experiment, follower):
                analyst.at(time)
        return
    time = experiment.time_of(chosen.time) if chosen.time else next_time(experiment)
    complete = experiment.folder.at(time).departures
    if complete.exists():
        log.info("%s exists: the analysis of %s is complete, nothing to do", complete, times.name(time))
        return
    analyst.at(time, _members(chosen.members, experiment.members), chosen.rest)


def _members(text: str | None, count: int) -> np.ndarray | None:
    """`1:10` -> numbers 0 … 9; raises UserError where they are none of the experiment's."""
    if text is None:
        return None
    first, _, last = text.partition(":")
    if not (first.isdigit() and last.isdigit() and 1 <= int(first) <= int(last) <= count):
        raise UserError(f"--members: expected the first and the last of members 1 to {count}, such as 1:{count}, got "
                        f"{text!r}")
    return np.arange(int(first) - 1, int(last))


def _add_members(parser: argparse.ArgumentParser) -> None:
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--members", metavar="FIRST:LAST", help="analyse and write these members and nothing else")
    part.add_argument("--rest", action="store_true",
                      help="take the members that are there, analyse the others and finish: after --members, with the "
                      "same settings")


if __name__ == "__main__":
    program.run(main, PROGRAM)
