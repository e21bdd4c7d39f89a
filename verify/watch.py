"""`python -m verify status EXPERIMENT.toml`: say how an experiment stands, in a table and in two files.

`status.json` and, for Prometheus, `status.prom` are written into the experiment's folder.  With --follow it goes on:
it looks every three seconds and writes when something has changed, at least once a minute, until all is complete.
"""

import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from contracts import config, program, times
from contracts.follow import Follower
from verify import events, prometheus, status
from verify.config import Settings
from verify.status import Cycle, Status
from verify.summary import number, table

LOOK_SECONDS, TELL_SECONDS = 3.0, 60.0
log = logging.getLogger("verify.status")


def main(arguments: Sequence[str]) -> None:
    """Entry point; raises UserError, and Stopped where it followed and was asked to end."""
    parser = program.parser("python -m verify status", __doc__ or "",
                            "python -m verify status run/experiments/twin_speedy.toml")
    program.add_experiment(parser)
    parser.add_argument("--follow", action="store_true", help="go on until the experiment is complete")
    chosen = parser.parse_args(arguments)
    settings = config.load(chosen.experiment, Settings)
    if chosen.follow:
        follow(settings)
    else:
        print(text(write(settings)))


def write(settings: Settings) -> Status:
    """Write both files and return what they say."""
    now = status.of(settings)
    _write(settings, now)
    return now


def _write(settings: Settings, now: Status) -> None:
    file = status.json_file(settings)
    before = events.said(file)
    status.write(file, msgspec.json.format(msgspec.json.encode(now), indent=1).decode() + "\n")
    status.write(file.with_suffix(".prom"), prometheus.text(now))
    events.tell(settings.run.on_event, before, now, file.parent)


def follow(settings: Settings) -> None:
    """Keep both files true until the experiment is complete; raises Stopped if asked to end."""
    written = write(settings)
    now, looked, told = written, time.monotonic(), time.monotonic()

    def news() -> bool:
        """Whether there is something to write; a look costs 15 ms, so that it is seldom taken."""
        nonlocal now, looked
        if time.monotonic() - looked < LOOK_SECONDS:
            return False
        now, looked = status.of(settings), time.monotonic()
        return msgspec.structs.replace(now, written=written.written) != written or looked - told >= TELL_SECONDS

    with Follower(settings.experiment, log.name) as follower:
        while written.state != "complete":
            follower.wait(news, f"news of {settings.experiment.name}")
            _write(settings, now)
            written, told = now, looked


def text(now: Status) -> str:
    """The state in a line, and a table of the last cycles."""
    lines = [f"{now.experiment}: {now.state}" + (f", {now.reason}" if now.reason else ""),
             f"{now.finished} of {now.planned} cycles finished, now at {now.now}", ""]
    rows = []
    for cycle in now.cycles:
        took = [stage.state if stage.seconds is None else f"{stage.seconds:.2f}" for stage in cycle.stages.values()]
        wind = cycle.departures.get("u_component_of_wind")
        fit = [number(wind.omb_rms), number(wind.background_spread)] if wind else ["-", "-"]
        rows.append([cycle.time, *took, str(cycle.counts.get("assimilated", "-")), *fit, str(len(cycle.warnings))])
    header = ["cycle", *(f"{stage}\ns" for stage in status.STAGES), "assimi-\nlated", "wind O-B\nm s-1",
              "spread\nm s-1", "warnings"]
    return "\n".join(lines) + table(header, rows) + _in_real_time(now)


def _in_real_time(now: Status) -> str:
    """A second table: which files each cycle had and what it made of them; empty where nothing was waited for."""
    header = ["cycle", "made after\nh", "rows", "assimi-\nlated", "wind O-B\nm s-1", "O-A\nm s-1", "analysis", "files"]
    rows = [_delivered(cycle, cycle.made) for cycle in now.cycles if cycle.made]
    return "\n\n" + table(header, rows) if rows else ""


def _delivered(cycle: Cycle, made: datetime) -> list[str]:
    hours, used = (made - times.parse(cycle.time)) / timedelta(hours=1), cycle.counts.get("assimilated", 0)
    scored = cycle.stages["verify"].state == "done"
    counted = [str(sum(cycle.counts.values())), str(used)] if scored else ["-", "-"]
    wind = cycle.departures.get("u_component_of_wind")
    fit = [number(wind.omb_rms), number(wind.oma_rms)] if wind else ["-", "-"]
    analysis = "the background" if scored and not used else str(cycle.stages["analysis"].state)
    files = "; ".join(f"{fate} {', '.join(names)}" for fate, names in cycle.files.items())
    return [cycle.time, f"{hours:.2f}", *counted, *fit, analysis, files]
