"""The service: real processes that wait for analyses, with the bits of the command `forecast`."""

import shutil
import signal
import time as clock
from datetime import timedelta

import numpy as np
import pytest

from contracts import state, times
from model_server.forecast import forecast
from tests import builders
from tests.model_server.conftest import command

STEP = timedelta(hours=6)
ALL = [builders.TIME + n * STEP for n in range(3)]


def analyse(settings, time):
    """Analyses of `time` that differ from those of any other; departures.nc says that they are complete."""
    here = settings.experiment.folder.at(time)
    for number, path in enumerate(here.analysis.members(3), start=1):
        state.write(path, builders.random_state(settings.space, seed=times.to_seconds(time) % 997 + number, time=time))
    here.departures.touch()


def appears(ensemble):
    until = clock.monotonic() + 60
    while not ensemble.spread.exists():
        assert clock.monotonic() < until, f"{ensemble.folder} does not appear"
        clock.sleep(0.02)


def background(settings, time):
    return settings.experiment.folder.at(time + STEP).background


def fields_of(settings, time):
    ensemble = background(settings, time)
    paths = [*ensemble.members(3), ensemble.mean, ensemble.spread]
    return np.stack([state.read(path, settings.space, time + STEP).data for path in paths])


@pytest.fixture
def served(persistence, tmp_path):
    """The settings, and a function that starts a service on them."""
    processes = []

    def start(*arguments):
        processes.append(command("serve", str(tmp_path / "experiment.toml"), *arguments))
        return processes[-1]

    yield persistence, start
    for process in processes:
        process.kill()
        process.communicate()


def test_a_service_follows_the_analyses_to_the_end_with_the_bits_of_the_command(served):
    settings, start = served
    process = start("--follow")
    for time in ALL:
        assert not background(settings, time).folder.exists()
        analyse(settings, time)
        appears(background(settings, time))
        assert background(settings, time).is_complete(3)  # what appears last says that all is there
    assert process.wait(60) == 0
    by_service = [fields_of(settings, time) for time in ALL]
    for time, expected in zip(ALL, by_service, strict=True):
        shutil.rmtree(background(settings, time).folder)
        forecast(settings, time)
        np.testing.assert_array_equal(fields_of(settings, time), expected)
        assert settings.experiment.folder.at(time).log("forecast").read_text().count("3 new") == 1


def test_a_killed_service_goes_on_where_it_was(served):
    settings, start = served
    analyse(settings, ALL[0])
    process = start("--follow")
    appears(background(settings, ALL[0]))
    process.kill()
    process.wait(60)
    stamp = background(settings, ALL[0]).mean.stat().st_mtime_ns
    for time in ALL[1:]:
        analyse(settings, time)
    again = start("--follow")
    assert again.wait(60) == 0
    assert all(background(settings, time).is_complete(3) for time in ALL)
    assert background(settings, ALL[0]).mean.stat().st_mtime_ns == stamp


@pytest.mark.parametrize("way", ["signal", "stop file"])
def test_asked_to_end_it_ends_with_status_0(served, way):
    settings, start = served
    analyse(settings, ALL[0])
    process = start("--follow")
    appears(background(settings, ALL[0]))
    if way == "signal":
        process.send_signal(signal.SIGTERM)
    else:
        settings.experiment.folder.stop.touch()
    assert process.wait(60) == 0
    assert "stopped by" in process.stdout.read()


def test_without_follow_it_does_what_can_be_done_and_ends(served):
    settings, start = served
    for time in ALL[:2]:
        analyse(settings, time)
    process = start()
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "no complete analysis of 1989010118 yet" in said
    assert [background(settings, time).is_complete(3) for time in ALL] == [True, True, False]


def test_a_service_on_other_settings_than_the_experiment_was_begun_with_is_refused(served, tmp_path):
    settings, start = served
    file = tmp_path / "experiment.toml"
    kept = settings.experiment.folder.settings
    kept.write_text(file.read_text().replace("members = 3", "members = 4"))
    said, _ = start("--follow").communicate(timeout=60)
    assert "[experiment] members: this experiment was begun with 4, the file now says 3" in said
    assert "Traceback" not in said
