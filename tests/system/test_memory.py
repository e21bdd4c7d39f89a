"""A run whose memory ends: the kernel kills, the words name it, and the next run ends with the same bits."""

import re

import pytest

from tests.system import experiment, memory
from tests.system.experiment import TIMES, resumes_to_the_same, until

KILLED = r"the kernel killed .*process(es)? meanwhile for want of memory: give the job more, or let it take less"


@pytest.fixture
def group():
    with memory.group() as made:
        if made is None:
            pytest.skip("no control group may be made here")
        yield made


@pytest.mark.parametrize("manner", ["", "--services"])
def test_a_rank_that_the_kernel_kills_for_want_of_memory(fresh, finished, group, manner):
    """The whole run is in a group, as a batch system has it, whose memory ends while the first time is analysed."""
    process = fresh.start(before=f"echo $$ >{group.members}", after=manner)
    words = fresh.folder / TIMES[0] / "log"
    until(lambda: (words / "analysis.log").exists() or process.poll() is not None, "the analysis")
    group.limit_to_what_is_used()
    until(lambda: group.kills or process.poll() is not None, "a kill")
    group.limit_to(None)
    out, err = process.communicate(timeout=experiment.CYCLE_LIMIT_S)
    assert group.kills
    assert re.search(KILLED, out + err), out + err  # one of the ranks, or both
    resumes_to_the_same(fresh, finished, manner)
