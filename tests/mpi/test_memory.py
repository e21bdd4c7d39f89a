"""The memory that is told before it is taken: near what is then taken, and refused above the limit."""

import re

import pytest

from letkf_mpi import memory
from letkf_mpi.memory import Size
from letkf_mpi.ranks.layouts import GROUP_BYTES
from tests.letkf_mpi import case
from tests.letkf_mpi.case import NOW
from tests.mpi.launcher import mpirun

PROGRAM = ("-m", "letkf_mpi.analysis")
MEMBERS, NLAT, NLON = 30, 160, 320


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """An ensemble of 120 MB, so that what it takes stands out from what any program takes; few observations."""
    more = "[analysis]\ntile = 16\nmemory_gb = {}\n[localization]\nhorizontal_km = 10\n"
    made = case.make(tmp_path_factory.mktemp("large"), MEMBERS, NLAT, NLON, nobs=10, more=more.format(0.2))
    return made, made.toml.read_text()


def numbers(pattern: str, text: str) -> list[float]:
    found = re.search(pattern, text)
    assert found, text
    return [float(number) for number in found.groups()]


def test_more_than_the_limit_is_refused_before_a_member_is_read(large):
    made, _ = large
    job = mpirun(2, *PROGRAM, made.toml, NOW)
    assert job.returncode == 1 and not made.files.analysis.folder.exists()
    errors = [line for line in job.stderr.splitlines() if " ERROR " in line]
    assert len(errors) == 1 and "on a node of 2 rank(s), [analysis] memory_gb allows 0.2" in errors[0]


def test_the_estimate_is_near_the_peak(large):
    made, text = large
    made.toml.write_text(text.replace("memory_gb = 0.2", "memory_gb = 2"))
    job = mpirun(2, *PROGRAM, made.toml, NOW)
    assert job.returncode == 0, job.stderr
    each, first = numbers(r"about ([\d.]+) GB on each rank, ([\d.]+) GB more on rank 0,", job.stderr)
    peaks = numbers(r"peak memory since the program began: ([\d.]+) GB on rank 0, at most ([\d.]+) GB on the others",
                    job.stderr)
    for expected, measured in zip((each + first, each), peaks, strict=True):
        assert measured / 1.4 < expected < 1.4 * measured
    assert peaks[0] > 0.2  # the ensemble is most of it


def test_every_part_of_the_estimate_grows_with_what_it_is_made_of():
    plain = Size(members=20, channels=38, columns=2048, levels=8, observations=10_000, ranks=4, ranks_on_node=4,
                 group_bytes=GROUP_BYTES)
    small = memory.estimate(plain)
    more_members, more_observations = (memory.estimate(Size(**vars(plain) | change))
                                       for change in ({"members": 40}, {"observations": 20_000}))
    hybrid, noisy = (memory.estimate(Size(**vars(plain) | change)) for change in ({"static": 100}, {"noise": True}))
    ensemble = 4 * 20 * 38 * 2048
    assert more_members.each - small.each > 2 * ensemble / 4  # as much again by member and by column
    assert more_observations.shared - small.shared > 8 * 20 * 10_000  # Y
    of_states = 5 * ensemble * (1 + 1 + 2) / 4  # by member, and in single and double precision at columns
    assert hybrid.each - small.each == of_states + 8 * 100 * 10_000 / 4  # Y_s by rows
    assert hybrid.shared - small.shared == 8 * 100 * 10_000  # Y_s
    assert noisy.shared - small.shared == 4 * 20 * 10_000
    assert more_observations.first > small.first and more_observations.node > small.node
