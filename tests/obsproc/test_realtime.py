"""Real time by a clock set by hand: what is waited for, what is whole, what goes on without, what is told later."""

import logging
import os
import shutil
import subprocess
import sys
import time as real_clock
from datetime import UTC, datetime, timedelta

import pytest

from contracts import config, observations, times
from contracts.errors import UserError
from obsproc import pipeline, realtime
from obsproc import table as lists
from obsproc.config import Settings
from obsproc.stage import make_one

FIRST, SECOND, THIRD = (datetime(1989, 1, 1, hour, tzinfo=UTC) for hour in (0, 6, 12))
TEXT = """
    [experiment]
    name = "now"
    start = 1989-01-01T00:00:00Z
    end = 1989-01-01T18:00:00Z
    work = "{folder}"
    mode = "realtime"
    [observations]
    source = "table"
    files = ["{folder}/a%H.csv", "{folder}/b%H.csv"]
    [realtime]
    due_hours = 1.0
    cutoff_hours = 3.0
    settled_seconds = 60.0
"""
LIST = "quantity,value,lat,lon,time,elevation,error\ntemperature_2m,{value},50,10,{time:%Y-%m-%dT%H:%M:%SZ},0,1\n"


class HandClock:
    """Stands still between two settings; remembers what it showed when a file was changed."""

    def __init__(self):
        self.settings: list[tuple[float, datetime]] = []
        self.set(FIRST)

    def set(self, shown: datetime) -> None:
        self.settings.append((real_clock.time(), shown))
        real_clock.sleep(0.02)  # the kernel's times of change are coarse

    def now(self) -> datetime:
        return self.settings[-1][1]

    def at(self, moment: float) -> datetime:
        return [shown for since, shown in self.settings if since <= moment][-1]


@pytest.fixture
def clock():
    return HandClock()


def settings_of(folder, more: str = "", text: str = TEXT) -> Settings:
    path = folder / "now.toml"
    path.write_text(text.format(folder=folder) + more)
    return config.load(path, Settings)


@pytest.fixture
def settings(tmp_path):
    return settings_of(tmp_path)


def arrive(folder, name, time, value=280):
    """One observation, by rename."""
    (folder / "arriving").write_text(LIST.format(time=time, value=value))
    (folder / "arriving").rename(folder / name)


def made(settings, time, clock):
    """What make_one writes: the values, the deliveries, and the log."""
    make_one(settings, time, clock)
    here = settings.experiment.folder.at(time)
    table, source = observations.read(here.observations)
    return table.value.tolist(), [tuple(delivery) for delivery in source.deliveries], here.log("obsproc").read_text()


def test_made_when_due_and_whole_and_at_the_cut_off_in_any_case(settings, tmp_path, clock):
    arrive(tmp_path, "a06.csv", SECOND)
    arrive(tmp_path, "b06.csv", SECOND)
    clock.set(settings.realtime.due(SECOND) - timedelta(seconds=1))
    assert not realtime.is_ready(settings, SECOND, clock)
    clock.set(settings.realtime.due(SECOND))
    assert realtime.is_ready(settings, SECOND, clock)
    (tmp_path / "b06.csv").unlink()
    assert not realtime.is_ready(settings, SECOND, clock)
    clock.set(settings.realtime.cutoff(SECOND) - timedelta(seconds=1))
    assert not realtime.is_ready(settings, SECOND, clock)
    clock.set(settings.realtime.cutoff(SECOND))
    assert realtime.is_ready(settings, SECOND, clock)
    assert realtime.left_out(settings, SECOND, clock) == {tmp_path / "b06.csv": "missing"}


def test_a_file_is_whole_when_it_was_left_alone_for_a_while(settings, tmp_path, clock):
    arrive(tmp_path, "a06.csv", SECOND)
    upload, start = tmp_path / "b06.csv", settings.realtime.due(SECOND)
    for second in (0, 50, 100):
        clock.set(start + timedelta(seconds=second))
        with upload.open("a") as file:
            file.write("more\n")
        os.utime(upload, (0, 0))  # as a copy that keeps the times of its original
        clock.set(start + timedelta(seconds=second + 49))
        assert realtime.left_out(settings, SECOND, clock) == {upload: "arriving"}
    clock.set(start + timedelta(seconds=160))
    assert realtime.is_ready(settings, SECOND, clock)


def test_a_status_file_says_that_a_file_is_whole(tmp_path, clock):
    settings = settings_of(tmp_path, 'status_suffix = ".done"')
    for name in ("a06.csv", "b06.csv"):
        arrive(tmp_path, name, SECOND)
    (tmp_path / "a06.csv.done").touch()
    clock.set(SECOND + timedelta(hours=2))
    assert realtime.left_out(settings, SECOND, clock) == {tmp_path / "b06.csv": "arriving"}
    (tmp_path / "b06.csv.done").touch()
    assert realtime.is_ready(settings, SECOND, clock)


def test_it_goes_on_without_and_names_late_files_in_the_log_of_a_later_time_once(settings, tmp_path, clock):
    clock.set(settings.realtime.cutoff(FIRST))
    arrive(tmp_path, "a00.csv", FIRST)
    values, deliveries, log = made(settings, FIRST, clock)
    assert (values, deliveries) == ([], [("a00.csv", "arriving"), ("b00.csv", "missing")])
    assert "a00.csv was not whole yet at 1989-01-01 03:00 UTC, 3.00 h after its time; going on without it" in log
    assert "b00.csv had not come at 1989-01-01 03:00 UTC" in log

    clock.set(FIRST + timedelta(hours=5))
    arrive(tmp_path, "b00.csv", FIRST)
    for name in ("a06.csv", "b06.csv"):
        arrive(tmp_path, name, SECOND)
    clock.set(settings.realtime.due(SECOND))
    values, deliveries, log = made(settings, SECOND, clock)
    assert values == [280, 280]
    assert deliveries == [("a06.csv", "read"), ("b06.csv", "read"), ("a00.csv", "late"), ("b00.csv", "late")]
    assert "b00.csv came at 1989-01-01 05:00 UTC: the observations of 1989010100 were made without it" in log

    clock.set(settings.realtime.cutoff(THIRD))
    assert made(settings, THIRD, clock)[1] == [("a12.csv", "missing"), ("b12.csv", "missing")]


def test_late_files_are_looked_for_only_so_far_back(tmp_path, clock):
    settings = settings_of(tmp_path, "late_hours = 6.0")
    for time in (FIRST, SECOND):
        clock.set(settings.realtime.cutoff(time))
        made(settings, time, clock)
    arrive(tmp_path, "a00.csv", FIRST)
    arrive(tmp_path, "a06.csv", SECOND)
    clock.set(settings.realtime.cutoff(THIRD))
    assert ("a06.csv", "late") in (deliveries := made(settings, THIRD, clock)[1])
    assert ("a00.csv", "late") not in deliveries


@pytest.mark.parametrize(("value", "fate"), [(280, []), (281, [("a00.csv", "late")])])
def test_a_file_that_came_again_is_late_only_where_it_differs(settings, tmp_path, clock, value, fate):
    for name in ("a00.csv", "b00.csv"):
        arrive(tmp_path, name, FIRST)
    clock.set(settings.realtime.due(FIRST))
    made(settings, FIRST, clock)
    clock.set(SECOND)
    arrive(tmp_path, "a00.csv", FIRST, value)
    clock.set(settings.realtime.cutoff(SECOND))
    assert made(settings, SECOND, clock)[1][2:] == fate


def test_the_same_observations_twice_are_used_once(settings, tmp_path, clock):
    arrive(tmp_path, "a00.csv", FIRST)
    shutil.copy(tmp_path / "a00.csv", tmp_path / "b00.csv")
    clock.set(settings.realtime.due(FIRST))
    make_one(settings, FIRST, clock)
    table, source = observations.read(settings.experiment.folder.at(FIRST).observations)
    assert [delivery.fate for delivery in source.deliveries] == ["read", "read"]
    assert {flag.name: number for flag, number in table.counts().items()} == {"passed": 1, "duplicate": 1}


def test_garbage_and_what_breaks_a_decoder_cost_no_more_than_their_file(settings, tmp_path, clock, monkeypatch):
    arrive(tmp_path, "a00.csv", FIRST)
    (tmp_path / "b00.csv").write_bytes(bytes(range(256)))
    clock.set(settings.realtime.due(FIRST))
    values, deliveries, log = made(settings, FIRST, clock)
    assert (values, deliveries) == ([280], [("a00.csv", "read"), ("b00.csv", "refused")])
    assert "is neither NetCDF nor text" in log and "going on without it" in log

    def breaks(path):
        raise IndexError("nobody thought of this")

    monkeypatch.setattr(lists, "read_file", breaks)
    values, deliveries, log = made(settings, FIRST, clock)
    assert (values, deliveries) == ([], [("a00.csv", "refused"), ("b00.csv", "refused")])
    assert "a00.csv: cannot be read; going on without it" in log and "nobody thought of this" in log
    research = settings_of(tmp_path, text=TEXT.replace("realtime\"", "research\""))
    with pytest.raises(IndexError):
        pipeline.observe(research, FIRST)


@pytest.mark.parametrize(("kept", "fate"), [(200_000, "damaged"), (100, "refused"), (0, "refused")])
def test_the_messages_of_a_truncated_file_that_are_whole_are_used(samples, tmp_path, clock, kept, fate):
    whole = (samples / "prepbufr/prepqm89010112").read_bytes()
    text = TEXT.replace('"table"', '"prepbufr"').replace('"{folder}/a%H.csv", "{folder}/b%H.csv"', '"{folder}/%H"')
    settings = settings_of(tmp_path, text=text)
    (tmp_path / "12").write_bytes(whole[:kept])
    clock.set(settings.realtime.cutoff(THIRD))
    values, deliveries, log = made(settings, THIRD, clock)
    assert deliveries == [("12", fate)] and bool(values) == (fate == "damaged")
    assert "going on without it" in log


def test_catching_up_says_how_far_behind(settings, tmp_path, clock, caplog):
    caplog.set_level(logging.INFO)
    arrive(tmp_path, "a00.csv", FIRST)  # in time, but nothing was at work
    clock.set(FIRST + timedelta(hours=16))
    assert realtime.is_ready(settings, FIRST, clock)
    values, deliveries, log = made(settings, FIRST, clock)
    assert (values, deliveries) == ([280], [("a00.csv", "read"), ("b00.csv", "missing")])
    assert "made at 1989-01-01 16:00 UTC, 16.00 h after the time; catching up, cycles behind the clock: 2" in log
    clock.set(settings.realtime.cutoff(SECOND))
    assert "catching up" not in made(settings, SECOND, clock)[2]


def test_a_cut_off_before_the_observations_are_due_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"\[realtime\].*due before the cut-off, got due_hours 4, cutoff_hours 3"):
        settings_of(tmp_path, text=TEXT.replace("due_hours = 1.0", "due_hours = 4.0"))


@pytest.fixture
def now(tmp_path):
    """An experiment by the real clock: its file, its folder, its times: one long past, one just now, one to come."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    cycles = [hour + timedelta(hours=hours) for hours in (-24, 0, 24)]
    path = tmp_path / "experiment.toml"
    path.write_text(f"""
        [experiment]
        name = "now"
        start = {cycles[0]:%Y-%m-%dT%H:%M:%SZ}
        end = {cycles[-1]:%Y-%m-%dT%H:%M:%SZ}
        step_hours = 24
        work = "{tmp_path}"
        mode = "realtime"
        [observations]
        source = "table"
        files = ["{tmp_path}/a%Y%m%d%H.csv", "{tmp_path}/b%Y%m%d%H.csv"]
        [realtime]
        settled_seconds = 0.0""")
    return path, tmp_path / "now", cycles


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "obsproc", *map(str, arguments)], capture_output=True, text=True)


def test_the_service_waits_for_files_and_makes_none_that_are_lost(now, tmp_path):
    path, folder, cycles = now
    products = [folder / times.name(cycle) / "observations.nc" for cycle in cycles]
    process = subprocess.Popen([sys.executable, "-m", "obsproc", path, "--follow"], stderr=subprocess.PIPE, text=True)
    try:
        appears(products[0])
        assert not len(observations.read(products[0])[0])  # past the cut-off: nobody waits for its files
        arrive(tmp_path, f"a{times.name(cycles[1])}.csv", cycles[1])
        real_clock.sleep(1.0)
        assert not products[1].exists()
        arrive(tmp_path, f"b{times.name(cycles[1])}.csv", cycles[1])
        appears(products[1])
        assert len(observations.read(products[1])[0]) == 2
        real_clock.sleep(0.5)
        assert not products[2].exists()
        (folder / "stop").touch()
        assert process.wait(60) == 0 and "stopped by" in process.stderr.read()
    finally:
        process.kill()
        process.communicate()
    done = run(path, times.name(cycles[2]))
    assert done.returncode == 1 and "not all of its observation files have arrived" in done.stderr
    assert not products[2].exists()


def appears(path):
    until = real_clock.monotonic() + 60
    while not path.exists():
        assert real_clock.monotonic() < until, f"{path} does not appear"
        real_clock.sleep(0.02)


def test_a_simulated_clock_goes_on_from_one_program_to_the_next(now):
    path, folder, cycles = now
    done = run(path, times.name(cycles[0]), "--speed", "1e5")
    assert "simulated clock, 100000 times as fast as the real one" in done.stderr
    clock_file = (folder / "clock.json").read_text()
    done = run(path, times.name(cycles[0]), "--wait")  # until the cut-off, or it has passed meanwhile
    assert done.returncode == 0 and (folder / times.name(cycles[0]) / "observations.nc").exists(), done.stderr
    assert (folder / "clock.json").read_text() == clock_file
    assert run(path, times.name(cycles[1]), "--speed", "7").returncode == 1
    assert run(path, times.name(cycles[1]), "--speed", "0").returncode == 2
