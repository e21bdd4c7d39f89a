"""Which members stay, and how much room the rest of an experiment needs."""

import math
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts import retention
from contracts.config import Experiment
from contracts.errors import UserError
from contracts.retention import Retention

START = datetime(1990, 1, 31, tzinfo=UTC)
MEMBERS, MEMBER, RESTART = 4, 1000, 500
OLD = Retention(members_hours=12)


@pytest.fixture
def experiment(tmp_path, monkeypatch) -> Experiment:
    """Twelve times, the first with a background whose files have known sizes."""
    monkeypatch.setenv("WORK", str(tmp_path))
    made = Experiment(name="room", start=START, end=START + 11 * timedelta(hours=6), members=MEMBERS)
    background = made.folder.at(START).background
    for path in background.members(MEMBERS):
        of_size(path, MEMBER)
        of_size(path.parent / ".restart" / path.with_suffix(".npz").name, RESTART)
    return made


def of_size(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))


def at(hours: int) -> datetime:
    return START + timedelta(hours=hours)


def test_all_members_stay_unless_told_otherwise():
    assert Retention().keeps(START, at(10**6))


@pytest.mark.parametrize(("hours", "now", "kept"), [(0, 12, True), (0, 18, False), (24, 100, True), (30, 100, False)])
def test_members_stay_for_some_hours_and_the_first_of_a_month_for_ever(hours, now, kept):
    assert OLD.keeps(at(hours), at(now)) is kept  # 24 hours after the start a month begins


def test_without_the_monthly_ones():
    assert not Retention(members_hours=12, monthly=False).keeps(at(24), at(100))


@pytest.mark.parametrize(("rules", "kept"), [(Retention(), 12), (OLD, 3 + 1), (Retention(members_hours=0), 1 + 1)])
def test_the_room_needed_is_that_of_all_files_to_come(experiment, rules, kept):
    one_time = MEMBERS * (2 * MEMBER + RESTART)
    assert retention.need(experiment, rules) == kept * one_time + 12 * (4 * MEMBER + retention.OTHERS)


def test_the_newest_background_tells_how_large_they_are(experiment):
    of_size(experiment.folder.at(at(6)).background.member(1), 3 * MEMBER)
    one_time = 3 * MEMBER + MEMBERS * 3 * MEMBER
    assert retention.need(experiment, Retention()) == 12 * (one_time + 4 * 3 * MEMBER + retention.OTHERS)


def test_finished_times_need_no_more_room(experiment):
    before = retention.need(experiment, Retention())
    of_size(experiment.folder.at(START).scores, 1)
    assert retention.need(experiment, Retention()) == pytest.approx(before * 11 / 12)


def test_one_more_cycle_needs_its_own_files(experiment):
    one_time = MEMBERS * (2 * MEMBER + RESTART) + 4 * MEMBER + retention.OTHERS
    assert retention.cycle_kib(experiment, Retention()) == math.ceil(one_time / 1024)
    assert retention.cycle_kib(experiment, Retention(check_disk=False)) == 0
    shutil.rmtree(experiment.folder.folder)
    assert retention.cycle_kib(experiment, Retention()) == 0


def test_before_the_folder_is_there_the_disk_is_that_of_its_place(tmp_path, monkeypatch):
    monkeypatch.setenv("WORK", str(tmp_path / "not" / "yet"))
    made = Experiment(name="room", start=START, end=START, members=MEMBERS)
    assert "GiB free" in retention.check_disk(made, Retention())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORK", "work")
    assert "GiB free" in retention.check_disk(made, Retention())


def test_a_disk_too_small_is_refused_unless_told_otherwise(experiment, monkeypatch):
    usage = shutil._ntuple_diskusage(total=10**9, used=10**9 - 3 * 2**20, free=3 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"needs about 34.5 MiB more and the disk has 3.0 MiB free; make room"):
        retention.check_disk(experiment, Retention())
    assert "more on the disk" in retention.check_disk(experiment, Retention(check_disk=False))
