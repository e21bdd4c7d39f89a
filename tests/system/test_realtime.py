"""Two days in real time, played in a minute: files come late, cut short, as garbage, twice or never, and nothing stops.

The clock runs 3600 times as fast: an hour is a second.  A thread plays the provider.
"""

import json
import re
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from contracts import clock, config, observations, state, times
from obsproc import synthetic, writer
from obsproc.config import Settings
from tests.system import experiment
from tests.system.experiment import SHOWN, START, Experiment, data, kill, processes_of, smooth_state, until

CYCLES = [START + timedelta(hours=6 * cycle) for cycle in range(8)]
NAMES = [times.name(cycle) for cycle in CYCLES]
REALTIME = """
[realtime]
due_hours = 0.25
cutoff_hours = 3.0
settled_seconds = 3600.0
speed = 3600.0
"""
FILES = '["$WORK/incoming/%Y%m%d%H.east", "$WORK/incoming/%Y%m%d%H.west"]'
OUTAGE = CYCLES[3] + timedelta(hours=3.5), CYCLES[5] + timedelta(hours=4)  # no process of ours is alive


@dataclass(frozen=True)
class Upload:
    """What appears under a name, and when it begins to and is complete, in hours after the time of the cycle."""

    content: bytes
    begin: float = 0.3
    end: float = 0.3


def uploads(east: list[bytes], west: list[bytes]) -> dict[str, Upload]:
    """By file name; `east` and `west` are what a good provider would send in each cycle."""
    garbage = np.random.default_rng(1).bytes(20_000)
    sent = {
        0: (Upload(east[0]), Upload(west[0])),
        1: (Upload(east[1], 0.3, 1.3), Upload(west[1], 0.3, 5)),  # both slowly, one beyond the cut-off
        2: (Upload(east[2], 4, 4), Upload(west[2])),  # after the cut-off
        3: (Upload(east[3]), None),
        4: (Upload(east[4]), Upload(garbage)),
        5: (Upload(east[5][: 9 * len(east[5]) // 10]), Upload(west[5])),
        6: (None, None),
        7: (Upload(east[7]), Upload(east[7])),  # the same twice
    }
    return {f"{NAMES[cycle]}.{half}": upload for cycle, halves in sent.items()
            for half, upload in zip(("east", "west"), halves, strict=True) if upload}


FATES = [
    {"read": ["1989010100.east", "1989010100.west"]},
    {"read": ["1989010106.east"], "arriving": ["1989010106.west"]},
    {"missing": ["1989010112.east"], "read": ["1989010112.west"], "late": ["1989010106.west"]},
    {"read": ["1989010118.east"], "missing": ["1989010118.west"], "late": ["1989010112.east"]},
    {"read": ["1989010200.east"], "refused": ["1989010200.west"]},
    {"damaged": ["1989010206.east"], "read": ["1989010206.west"]},
    {"missing": ["1989010212.east", "1989010212.west"]},
    {"read": ["1989010218.east", "1989010218.west"]},
]


class Provider(threading.Thread):
    """Sends the uploads by the clock of the experiment, from when that was started."""

    def __init__(self, made: Experiment, sent: dict[str, Upload]):
        super().__init__(daemon=True)
        self.made, self.folder = made, made.work / "incoming"
        self.folder.mkdir()
        self.steps = sorted(step for name, upload in sent.items() for step in self._steps(name, upload))

    @staticmethod
    def _steps(name: str, upload: Upload) -> list[tuple[datetime, str, bytes]]:
        """Pieces of the file, every fifth of an hour one."""
        cycle, count = times.parse(name.partition(".")[0]), 1 + round(5 * (upload.end - upload.begin))
        ends = np.linspace(0, len(upload.content), count + 1).astype(int)
        return [(cycle + timedelta(hours=upload.begin + piece / 5), name, upload.content[ends[piece] : ends[piece + 1]])
                for piece in range(count)]

    def run(self) -> None:
        until((self.made.folder / "clock.json").exists, "the clock")
        shown = clock.read(self.made.settings.experiment)
        for moment, name, piece in self.steps:
            sleep_until(shown, moment)
            with (self.folder / name).open("ab") as file:
                file.write(piece)


def sleep_until(shown: clock.Clock, moment: datetime) -> None:
    time.sleep(max(0.0, shown.real(moment - shown.now()).total_seconds()))


def halves(made: Experiment, work: Path) -> tuple[list[bytes], list[bytes]]:
    """PREPBUFR files of all cycles: the stations of the eastern and of the western hemisphere, in two parts each."""
    settings = config.decode(made.path.read_text(), Settings, "")
    settings = replace(settings, observations=replace(settings.observations, source="synthetic"))
    space = settings.state.space(settings.grid.grid())
    sent: tuple[list[bytes], list[bytes]] = ([], [])
    for cycle in CYCLES:
        state.write(made.work / "truth" / f"{times.name(cycle)}.nc", smooth_state(space, 0, cycle))
        table, _ = synthetic.observe(settings, cycle)
        parts = []
        for part in range(4):
            writer.write(work / "part", table.select(table.lon // 90 == part), cycle)
            parts.append((work / "part").read_bytes())
        for files, half in zip(sent, (parts[:2], parts[2:]), strict=True):
            files.append(b"".join(half))
    return sent


@pytest.fixture(scope="module", params=experiment.ANALYSES)
def played(tmp_path_factory, request) -> Experiment:
    """The experiment after two days with an outage of twelve hours and a half, longer than two cycles."""
    folder, patch = tmp_path_factory.mktemp("realtime"), pytest.MonkeyPatch()
    files = f'"prepbufr"\nfiles = {FILES}\nsaturation_limit = 0'  # humidity of the truth knows nothing of temperature
    text = SHOWN.replace('"synthetic"', files).replace('"research"', '"realtime"')
    end = f"{CYCLES[-1]:%Y-%m-%dT%H:%M:%SZ}"
    text = text.replace("1989-01-01T06:00:00Z", end) + experiment.ANALYSES[request.param] + REALTIME
    made = experiment.make(folder / "work", text)
    with patch.context() as environment:
        environment.setenv("WORK", str(made.work))
        Provider(made, uploads(*halves(made, folder))).start()
        process = made.start(after="--services")
        until((made.folder / "clock.json").exists, "the clock")
        sleep_until(clock.read(made.settings.experiment), OUTAGE[0])
        kill(process)
        until(lambda: not processes_of(made), "the end of all services")
        sleep_until(clock.read(made.settings.experiment), OUTAGE[1])
        done = made.run(after="--services")
        assert done.returncode == 0, done.stdout + done.stderr
        yield made


def status(made: Experiment) -> dict:
    return json.loads((made.folder / "status.json").read_text())


def test_every_cycle_ends_with_an_analysis_and_says_what_it_had(played):
    told = status(played)
    assert told["state"] == "complete" and [cycle["time"] for cycle in told["cycles"]] == NAMES
    assert [cycle["files"] for cycle in told["cycles"]] == FATES
    for name in NAMES:
        _, of_departures = observations.read_departures(played.folder / name / "departures.nc")
        assert of_departures == observations.read_source(played.folder / name / "observations.nc")


def test_what_was_there_was_used(played):
    counts = [cycle["counts"] for cycle in status(played)["cycles"]]
    whole, used = sum(counts[0].values()), [cycle.get("assimilated", 0) for cycle in counts]
    assert used[0] > 0.9 * whole and used[6] == 0
    east = sum(counts[1].values())
    assert whole - east < sum(counts[5].values()) < whole  # a part of the eastern file
    assert [sum(counts[cycle].values()) for cycle in (2, 3, 4, 7)] == [whole - east, east, east, 2 * east]
    assert counts[7]["duplicate"] == east and used[7] <= east


def test_without_observations_the_background_is_the_analysis(played):
    files = data(played.folder / NAMES[6])
    np.testing.assert_array_equal(*(files[f"{kind}/m0001.nc"]["temperature"] for kind in ("background", "analysis")))


def test_nothing_is_made_before_its_cut_off_unless_all_is_there_and_after_an_outage_at_once(played):
    hours = [(datetime.fromisoformat(cycle["made"]) - times.parse(cycle["time"])) / timedelta(hours=1)
             for cycle in status(played)["cycles"]]
    assert 1 < hours[0] < 3 and min(hours[1], hours[2], hours[3], hours[6]) >= 3 and hours[4] >= 10, hours


def test_the_logs_name_what_was_wrong(played):
    words = {name: (played.folder / name / "log" / "obsproc.log").read_text() for name in NAMES}
    assert "1989010106.west was not whole yet" in words[NAMES[1]]
    assert "1989010112.east had not come" in words[NAMES[2]]
    assert "1989010112.east came at 1989-01-01 16:" in words[NAMES[3]]
    assert "1989010200.west" in words[NAMES[4]] and "this is not a BUFR file" in words[NAMES[4]]
    assert "catching up" in words[NAMES[4]]
    assert "the file ends inside this message" in words[NAMES[5]]
    table = played.program("verify", "status", str(played.path)).stdout
    assert "missing 1989010112.east; read 1989010112.west; late 1989010106.west" in table
    assert re.search(r"1989010212 .* 0 +0 +- +- +the background +missing", table), table
