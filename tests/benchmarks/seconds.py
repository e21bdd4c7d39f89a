"""The seconds that benchmarks are told in: of a processor, so that a busy machine says little less than a quiet one."""

import resource
import time
from collections.abc import Callable


def of_processors() -> float:
    """Since the start, of this process with all of its threads and of the children that it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def seconds(step: Callable[[], object], rounds: int = 3) -> float:
    """Of the processor, the best of some rounds: other work on the machine only ever adds.

    What a step gives is kept until the end, so that each round lays it in memory that was not touched before, as a
    program does that makes one analysis.
    """
    taken, kept = [], []
    for _ in range(rounds):
        start = time.process_time()
        kept.append(step())
        taken.append(time.process_time() - start)
    return min(taken)
