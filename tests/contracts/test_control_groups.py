"""Processors that a quota leaves: a whole node by its affinity may be two processors by its group."""

import os

import pytest

from contracts import control_groups


@pytest.fixture
def group(tmp_path, monkeypatch):
    """A job two groups below the root, on a computer of 64 processors."""
    monkeypatch.setattr(control_groups, "GROUP", tmp_path)
    monkeypatch.setattr(control_groups, "GROUPS", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)))
    return tmp_path


def test_version_2_and_the_least_limit_around_it(group):
    (group / "own").write_text("0::/slurm/job_7\n")
    (group / "slurm" / "job_7").mkdir(parents=True)
    (group / "slurm" / "job_7" / "cpu.max").write_text("max 100000\n")
    assert control_groups.processors() == 64
    (group / "slurm" / "job_7" / "cpu.max").write_text("1650000 100000\n")
    assert control_groups.processors() == 16  # half a processor keeps no thread busy
    (group / "slurm" / "cpu.max").write_text("800000 100000\n")
    assert control_groups.processors() == 8


def test_version_1(group):
    (group / "own").write_text("11:memory:/job_7\n4:cpu,cpuacct:/job_7\n")
    job = group / "cpu" / "job_7"
    job.mkdir(parents=True)
    for quota, expected in (("-1", 64), ("200000", 2), ("20000", 1)):
        (job / "cpu.cfs_quota_us").write_text(f"{quota}\n")
        (job / "cpu.cfs_period_us").write_text("100000\n")
        assert control_groups.processors() == expected


@pytest.mark.parametrize("said", [None, "", "nonsense", "max", "1 0"])
def test_without_a_limit_those_that_it_is_bound_to(group, said):
    if said is not None:
        (group / "cpu.max").write_text(said)
    assert control_groups.processors() == 64
