"""The analysis as a service (`--follow`): every time of the experiment, as soon as its inputs are there.

The process, its libraries and all that the times share stay alive, so that a time costs no start-up.  Nothing is
kept in memory from one time to the next that decides a result: a service that was killed and started again, or one
process for each time, give the same bits.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from contracts import times
from contracts.analysis import inputs_are_there, is_whole
from contracts.config import Experiment
from contracts.follow import Follower
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
