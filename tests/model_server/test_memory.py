"""How many members are in memory together: what limits it, and what it must not depend on."""

from pathlib import Path

import pytest
import torch

from contracts import control_groups
from model_server import memory
from model_server.models.climax import memory as gpu
from networks.climax.network import Architecture

SIZE = Architecture(nlat=32, nlon=64, variables=41, outputs=38, patch=2, embed_dim=256, depth=4, heads=8)


def group(folder: Path, limit: str, used: int, cached: int) -> Path:
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon {used - cached}\ninactive_file {cached}\n")
    return folder


def test_a_container_has_what_its_limit_leaves(tmp_path, monkeypatch):
    monkeypatch.setattr(control_groups, "GROUP", group(tmp_path, "10000000", 4_000_000, 1_000_000))
    assert memory.free() == 7_000_000
    shape = (10, 100, 100)
    assert memory.members_that_fit((1, 10, 10)) == 546  # half of it, 16 copies of 100 numbers each
    monkeypatch.setattr(control_groups, "GROUP", group(tmp_path, "1000", 4_000_000, 0))
    assert memory.free() == 0 and memory.members_that_fit(shape) == 1


@pytest.mark.parametrize("limit", ["max", None])
def test_without_a_limit_the_computer_has_what_it_has(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(control_groups, "GROUP", group(tmp_path, limit, 10, 0) if limit else tmp_path)
    assert memory.free() > 1_000_000


@pytest.mark.parametrize("free", [0, 10**9, 80 * 10**9])
def test_the_members_of_a_pass_follow_from_the_card_and_not_from_what_is_free(monkeypatch, free):
    """The bits of a resumed run depend on this number."""
    total = {0: int(2 * 10 * gpu.per_member(SIZE)), 1: 80 * 10**9}
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, total[device.index]))
    assert gpu.members_of_a_pass(SIZE, [torch.device("cuda", 1)]) == 20
    assert gpu.members_of_a_pass(SIZE, [torch.device("cuda", 0), torch.device("cuda", 1)]) == 10


def test_a_job_has_what_the_limits_of_its_own_group_and_those_around_it_leave(tmp_path, monkeypatch):
    monkeypatch.setattr(control_groups, "GROUP", tmp_path)
    monkeypatch.setattr(control_groups, "GROUPS", tmp_path / "cgroup")
    job = tmp_path / "slurm" / "job_7"
    (job / "step_0").mkdir(parents=True)
    (tmp_path / "cgroup").write_text("0::/slurm/job_7/step_0\n")
    group(job, "5000000", 1_000_000, 0)
    assert memory.free() == 4_000_000
    group(tmp_path / "slurm", "3000000", 1_000_000, 0)
    assert memory.free() == 2_000_000


def test_version_1_of_control_groups_is_known_too(tmp_path, monkeypatch):
    monkeypatch.setattr(control_groups, "GROUP", tmp_path)
    monkeypatch.setattr(control_groups, "GROUPS", tmp_path / "cgroup")
    job = tmp_path / "memory" / "job_7"
    job.mkdir(parents=True)
    (tmp_path / "cgroup").write_text("11:cpuset:/job_7\n4:memory:/job_7\n")
    for name, value in (("limit_in_bytes", "5000000"), ("usage_in_bytes", "2000000"),
                        ("stat", "cache 9\ntotal_inactive_file 500000")):
        (job / f"memory.{name}").write_text(f"{value}\n")
    assert memory.free() == 3_500_000
