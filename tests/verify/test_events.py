"""Whoever is to be told is told once, and what goes wrong with it changes nothing."""

import json

import pytest
from msgspec import structs

from contracts.stages import Run
from tests.verify import watched
from verify import events, status, watch


@pytest.fixture
def settings(tmp_path, monkeypatch):
    found = watched.finished(tmp_path, monkeypatch)[1]
    line = 'echo "$NAME $EVENT at $CYCLE: $REASON" >>"$FOLDER/told"'
    return structs.replace(found, run=Run(on_event=line))


def told(settings) -> list[str]:
    path = settings.experiment.folder.folder / "told"
    return path.read_text().splitlines() if path.exists() else []


def test_complete_is_told_once(settings):
    watch.write(settings)
    watch.write(settings)
    assert len(told(settings)) == 1 and " complete at " in told(settings)[0]


def test_each_change_is_told_and_running_is_not(settings):
    last = settings.experiment.folder.at(settings.experiment.times()[-1])
    last.scores.unlink()
    watch.write(settings)
    assert told(settings)[-1].endswith("run/cycle.sh EXPERIMENT.toml goes on") and " stopped at " in told(settings)[0]
    driver = settings.experiment.folder.folder / "log" / "cycle.out"
    driver.parent.mkdir(exist_ok=True)
    driver.write_text("2026-01-01T00:00:00Z cycle.sh ERROR no room\n")
    watch.write(settings)
    assert told(settings)[1:] == [told(settings)[1]] and told(settings)[1].endswith("run/cycle.sh: no room")
    running = structs.replace(status.of(settings), state="running")
    events.tell(settings.run.on_event, "STALLED", running, settings.experiment.folder.folder)
    assert len(told(settings)) == 2


def test_a_line_that_fails_is_warned_of_and_the_status_is_there(settings, caplog):
    broken = structs.replace(settings, run=Run(on_event="echo nobody listens >&2; exit 3"))
    watch.write(broken)
    assert "[run] on_event: ended with status 3: nobody listens" in caplog.text
    assert json.loads(status.json_file(settings).read_text())["state"] == "complete"


def test_a_line_that_takes_too_long_is_left(settings, caplog, monkeypatch):
    monkeypatch.setattr(events, "LONGEST_SECONDS", 0.2)
    watch.write(structs.replace(settings, run=Run(on_event="sleep 30")))
    assert "timed out" in caplog.text


def test_a_status_of_another_make_is_none(tmp_path):
    (tmp_path / "status.json").write_text("[1]")
    assert events.said(tmp_path / "status.json") == "" and events.said(tmp_path / "none") == ""


def test_without_a_status_nobody_can_tell():
    with pytest.raises(ValueError, match="leave status = false out, or on_event"):
        Run(status=False, on_event="true")
