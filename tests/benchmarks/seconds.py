"""The seconds that benchmarks are told in: of a processor, so that a busy machine says little less than a quiet one."""

import resource
import time


def of_processors() -> float:
    """Since the start, of this process with all of its threads and of the children that it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
