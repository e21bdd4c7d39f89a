"""The clock: real or simulated, one for all programs, and going on over a restart."""

import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context

import pytest

from contracts import clock
from contracts.clock import Clock
from contracts.errors import UserError
from tests.contracts.case import experiment_of


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    monkeypatch.setenv("WORK", str(tmp_path))
    return experiment_of(tmp_path)


def test_the_real_clock_shows_the_real_time(experiment):
    before = datetime.now(UTC)
    assert before <= clock.of(experiment, None).now() <= datetime.now(UTC)
    assert clock.read(experiment).real(timedelta(hours=6)) == timedelta(hours=6)
    assert not experiment.folder.clock.exists()


def test_a_simulated_clock_begins_at_the_first_time_and_runs_faster(experiment):
    shown = clock.of(experiment, 3600.0)
    assert shown.at(shown.began) == experiment.start
    assert shown.at(shown.began + 2.5) == experiment.start + timedelta(hours=2.5)
    assert shown.real(timedelta(hours=6)) == timedelta(seconds=6)
    before = time.time()
    assert shown.at(before) <= shown.now() <= shown.at(time.time())


def test_a_program_started_again_finds_that_time_went_on(experiment):
    first = clock.of(experiment, 3600.0)
    assert clock.of(experiment, 3600.0) == clock.of(experiment, None) == clock.read(experiment) == first


def _shown(experiment, start) -> Clock:
    while time.time() < start:  # all at once
        pass
    return clock.of(experiment, 60.0)


def test_programs_that_start_it_together_have_the_same_clock(experiment):
    with ProcessPoolExecutor(4, get_context("fork")) as programs:
        for _ in range(10):
            experiment.folder.clock.unlink(missing_ok=True)
            asked = [programs.submit(_shown, experiment, time.time() + 0.02) for _ in range(4)]
            assert len({program.result() for program in asked}) == 1
    assert [path.name for path in experiment.folder.folder.iterdir()] == ["clock.json"]


def test_another_speed_is_refused(experiment):
    clock.of(experiment, 60.0)
    with pytest.raises(UserError, match=r"clock.json: .* runs at 60 times the real one, asked for is 61"):
        clock.of(experiment, 61.0)


@pytest.mark.parametrize("text", ["", "{", '{"speed": 0.0}', '{"speed": 2.0, "pace": 1}'])
def test_a_damaged_file_is_refused(experiment, text):
    experiment.folder.folder.mkdir()
    experiment.folder.clock.write_text(text)
    with pytest.raises(UserError, match="clock.json: is no clock"):
        clock.read(experiment)
