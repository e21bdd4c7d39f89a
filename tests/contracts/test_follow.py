"""Services wait for files and end when asked: with real processes, real files and real signals."""

import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest

from contracts import follow, frozen
from contracts.errors import UserError
from contracts.stages import Run
from tests.builders import TIME
from tests.contracts.case import TEXT, experiment_of

# Steps of `name`: for each number wait for the file in.N, take a while over the step, write out.N.
SERVICE = """
import sys, time
from pathlib import Path
from contracts import config, paths, program
from contracts.__main__ import Settings
from contracts.follow import Follower
def main(arguments):
    experiment = config.load(Path(arguments[0]), Settings).experiment
    folder = experiment.folder.folder
    with Follower(experiment, "probe") as follower:
        print("alive", flush=True)
        for number in range(3):
            follower.wait((folder / f"in.{number}").exists, f"in.{number}")
            (folder / f"begun.{number}").touch()
            time.sleep(float(arguments[1]))
            with paths.atomic(folder / f"out.{number}") as partial:
                partial.write_text("whole")
program.run(main, "probe")
"""


@pytest.fixture
def service(tmp_path, monkeypatch):
    """service(seconds a step takes) -> a process that lives, and its folder."""
    monkeypatch.setenv("WORK", str(tmp_path))
    folder = experiment_of(tmp_path).folder.folder
    folder.mkdir()
    started: list[subprocess.Popen] = []

    def start(seconds: float = 0.0):
        process = subprocess.Popen([sys.executable, "-c", SERVICE, str(tmp_path / "short.toml"), str(seconds)],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "alive\n"
        return process, folder

    yield start
    for process in started:
        process.kill()
        process.communicate()


def appears(path):
    until = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < until, f"{path} does not appear"
        time.sleep(0.01)


def outputs(folder):
    return sorted(path.name for path in folder.glob("*out*"))


def test_a_service_goes_on_as_files_appear_and_ends_with_the_last(service):
    process, folder = service()
    for number in range(3):
        assert not (folder / f"out.{number}").exists()
        (folder / f"in.{number}").touch()
        appears(folder / f"out.{number}")
    assert process.wait(30) == 0


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGINT, "stop"])
def test_asked_to_end_while_it_waits(service, way):
    process, folder = service()
    if way == "stop":
        (folder / "stop").touch()
    else:
        process.send_signal(way)
    assert process.wait(30) == 0
    said = process.stderr.read()
    assert "stopped by" in said and (way if way == "stop" else way.name) in said and "Traceback" not in said


def test_the_step_in_hand_is_finished_and_no_other_begun(service):
    process, folder = service(1.0)
    (folder / "in.0").touch()
    (folder / "in.1").touch()
    appears(folder / "begun.0")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert outputs(folder) == ["out.0"] and not (folder / "begun.1").exists()


def test_a_second_signal_ends_it_at_once(service):
    process, folder = service(60.0)
    (folder / "in.0").touch()
    appears(folder / "begun.0")
    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)  # two signals sent together are one
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == -signal.SIGTERM and outputs(folder) == []


def test_who_waits_for_long_sees_that_what_it_made_is_gone(tmp_path, monkeypatch):
    monkeypatch.setenv("WORK", str(tmp_path))
    monkeypatch.setattr(follow, "IN_A_HURRY", 0.1)
    with follow.Follower(experiment_of(tmp_path), "probe") as follower:
        product = tmp_path / "product"
        product.touch()
        follower.made = product.exists
        since = time.monotonic()
        follower.wait(lambda: time.monotonic() > since + 0.3, "what comes late")
        product.unlink()
        follower.wait(lambda: True, "what is there")  # nobody waits
        with pytest.raises(UserError, match="what was made last is gone while waiting for what never comes"):
            follower.wait(lambda: False, "what never comes")


def test_times_that_are_done_are_passed_over_and_the_product_of_the_last_step_is_looked_after(tmp_path, monkeypatch):
    monkeypatch.setenv("WORK", str(tmp_path))
    monkeypatch.setattr(follow, "IN_A_HURRY", 0.1)
    first, second, third, never = (TIME + hours * timedelta(hours=1) for hours in (0, 6, 12, 18))
    seen, looks = [], []

    def looking(look):
        looks.append(look)
        return look()

    with follow.Follower(experiment_of(tmp_path), "probe", looking) as follower:
        each = follower.each_time([first, second, third, never], ready=lambda time: time != never, what="what it needs",
                                  made=lambda time: time != third, done=lambda time: time == second)
        with pytest.raises(UserError, match="is gone while waiting for what it needs of 1989010200"):
            for time_ in each:
                seen.append(time_)
    assert seen == [first, third] and len(looks) == 4


def test_what_a_service_that_was_started_again_passed_over_is_looked_after_too(tmp_path, monkeypatch):
    """By what it was passed over for: started again once more, the service makes it."""
    monkeypatch.setenv("WORK", str(tmp_path))
    monkeypatch.setattr(follow, "IN_A_HURRY", 0.1)
    product, (first, second) = tmp_path / "product", (TIME + hours * timedelta(hours=1) for hours in (0, 6))

    def each(follower):
        return follower.each_time([first, second], what="what it needs", ready=lambda time: time == first,
                                  made=lambda time: time == first, done=lambda time: time == first and product.exists())

    product.touch()
    with follow.Follower(experiment_of(tmp_path), "probe") as follower:
        threading.Timer(0.3, product.unlink).start()
        with pytest.raises(UserError, match="is gone while waiting for what it needs of 1989010112"):
            next(each(follower))
    with follow.Follower(experiment_of(tmp_path), "probe") as follower:
        assert next(each(follower)) == first


def test_a_service_with_other_settings_than_the_experiment_was_begun_with_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("WORK", str(tmp_path))
    experiment, file = experiment_of(tmp_path), tmp_path / "short.toml"
    frozen.refuse_other(file, experiment)  # nothing was begun
    frozen.freeze(TEXT, experiment, Run(), "code")
    frozen.refuse_other(file, experiment)
    file.write_text(TEXT.replace("1.1", "1.2"))
    with pytest.raises(UserError, match=r"\[inflation\] factor: .* begun with 1.1, the file now says 1.2"):
        frozen.refuse_other(file, experiment)
