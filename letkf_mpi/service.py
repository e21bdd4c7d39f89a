"""The analysis as a service (`--follow`): every time of the experiment, as soon as its inputs are there.

The process, its libraries and all that the times share stay alive, so that a time costs no start-up.  Nothing is
kept in memory from one time to the next that decides a result: a service that was killed and started again, or one
process for each time, give the same bits.

Observations are waited for in mode "realtime" too: who makes them writes a table when their time is up, an empty one
if need be, because only there is it known how long to wait.  A damaged table, and a missing one where a time is asked
for by name, is taken as empty in that mode (`files.read_observations`).
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from contracts import times
from contracts.config import Experiment
from contracts.follow import Follower
from contracts.paths import TimeFolder
from letkf_mpi.ranks.parallel import World


def follow(world: World, experiment: Experiment, name: str, analyse: Callable[[datetime], None]) -> None:
    """Analyse each time that has no analysis yet, in order; raises Stopped when asked to end between two.

    Rank 0 alone looks at files; the others sleep until it has seen them.
    """
    with Follower(experiment, name) as follower:
        for time in experiment.times():
            folder = experiment.folder.at(time)
            if not world.shared(folder.departures.exists):
                world.patiently(partial(follower.wait, partial(inputs_are_there, folder, experiment.members),
                                        f"background and observations of {times.name(time)}"))
                analyse(time)
                follower.made = partial(is_whole, folder, experiment.members)


def is_whole(folder: TimeFolder, members: int) -> bool:
    """Whether all that an analysis leaves is there."""
    return folder.departures.exists() and folder.analysis.is_complete(members)


def inputs_are_there(folder: TimeFolder, members: int) -> bool:
    """Whether observations and the whole background are complete; the spread is the last to appear."""
    return folder.background.spread.exists() and folder.observations.exists() and folder.background.is_complete(members)
