"""What an experiment is doing, told by the files that are there: `status.json` and `status.prom`.

A file that exists is complete and says by its time of change when a stage ended, whatever has been killed meanwhile;
the lock that run/cycle.sh holds, and the steps with it, says whether anything is at work.  Nothing else is asked:

    complete    all products of all times are there, of the times shown also all members
    running     something is at work, and a file appeared lately
    STALLED     something is at work and no file appeared for [verify] stalled_minutes (in real time: after the next
                observations could be expected), or nothing is and a stage's last words were an error
    stopped     nothing is at work and something is left to do
    not begun   there is no file yet

A stage is *done* when its product is there, *running* when what it needs is and something is at work, *failed* when
its last words are an error, else *waiting*.  Its seconds count from when what it needs was there, or from when the run
was started again.
"""

import fcntl
import os
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec

from contracts import clock, observations, paths, times
from contracts.errors import ContractError
from contracts.paths import TimeFolder
from contracts.stages import STAGES
from contracts.variables import Flag, Quantity
from verify import score_file
from verify.config import Settings

CONTRACT = "status/1"
SHOWN = 20  # cycles in status.json
BEGUN = "# begun "  # run/services.sh writes such a line above the words of each run

State = Literal["complete", "running", "STALLED", "stopped", "not begun"]
Found = dict[str, float | None]  # by stage the time at which its product was complete, in seconds since 1970


class Stage(msgspec.Struct, frozen=True):
    """One step of one cycle."""

    state: Literal["done", "running", "failed", "waiting"]
    ended: datetime | None
    seconds: float | None


class Departures(msgspec.Struct, frozen=True):
    """Assimilated observations of one quantity; root mean squares in `units`."""

    units: str
    count: int
    omb_rms: float
    oma_rms: float
    background_spread: float
    error: float


class Cycle(msgspec.Struct, frozen=True):
    """One valid time; `counts` are observations by fate, `files` the names of their files by fate.

    In real time `made` is what the experiment's clock showed when the observations were made.
    """

    time: str
    stages: dict[str, Stage]
    counts: dict[str, int]
    departures: dict[str, Departures]
    warnings: list[str]
    files: dict[str, list[str]] = {}
    made: datetime | None = None


class Status(msgspec.Struct, frozen=True):
    """An experiment as it stands; `now` is the first cycle that is not finished, `cycles` are the last ones."""

    experiment: str
    state: State
    reason: str
    written: datetime
    now: str
    finished: int
    planned: int
    last_progress: datetime | None
    cycles: list[Cycle]
    contract: str = CONTRACT


def json_file(settings: Settings) -> Path:
    return settings.experiment.folder.folder / "status.json"


def report_file(settings: Settings) -> Path:
    return settings.experiment.folder.folder / "report.html"


def of(settings: Settings, last: int = SHOWN) -> Status:
    """The status now, with the `last` cycles of those that are in hand or finished."""
    experiment = settings.experiment
    all_times = experiment.times()
    finished = next((n for n, time in enumerate(all_times) if not _seems_finished(experiment.folder.at(time))),
                    len(all_times))
    # Observations are made far ahead; a cycle is in hand from when the one before it was analysed.
    analysed = [time for time in all_times[finished:] if experiment.folder.at(time).departures.exists()]
    shown = all_times[: finished + len(analysed) + 1][-last:]
    found = {time: _products(settings, time) for time in [shown[0] - experiment.step, *shown]}
    working = at_work(experiment.folder.folder)
    errors = {} if working else _errors(settings, found)
    complete = finished == len(all_times) and None not in (found[time][stage] for time in shown for stage in STAGES)
    progress = max((moment for products in found.values() for moment in products.values() if moment), default=None)
    state, reason = _state(settings, complete, working, progress, errors)
    now = all_times[min(finished, len(all_times) - 1)]
    cycles = [_cycle(settings, time, found, working and not complete, errors) for time in shown]
    return Status(experiment.name, state, reason, datetime.now(UTC), times.name(now), finished, len(all_times),
                  _moment(progress), cycles)


def _seems_finished(here: TimeFolder) -> bool:
    """By its single files; the members of all times would be too many to look for."""
    return here.scores.exists() and here.departures.exists() and here.observations.exists()


def at_work(folder: Path) -> bool:
    """Whether a run, or a step that it left behind, holds the experiment's lock."""
    try:
        lock = os.open(folder / ".lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _products(settings: Settings, time: datetime) -> Found:
    experiment = settings.experiment
    here, following = experiment.folder.at(time), experiment.folder.at(time + experiment.step).background
    analysed, forecast = (ensemble.is_complete(experiment.members) for ensemble in (here.analysis, following))
    moments = [_written(following.mean), _written(following.spread)]
    return {"observations": _written(here.observations), "analysis": _written(here.departures) if analysed else None,
            "forecast": max(moment or 0.0 for moment in moments) if forecast else None,
            "verify": _written(here.scores)}


def _written(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _state(settings: Settings, complete: bool, working: bool, progress: float | None,
           errors: dict[str, str]) -> tuple[State, str]:
    """The state and the reason that somebody should know."""
    experiment, verify = settings.experiment, settings.verify
    if complete:
        return "complete", ""
    if working:
        started = _written(experiment.folder.folder / ".lock") or 0.0
        silent = (datetime.now(UTC).timestamp() - max(progress or 0.0, started)) / 60
        allowed = verify.stalled_minutes
        if experiment.mode == "realtime":
            longest = experiment.step + timedelta(hours=settings.realtime.cutoff_hours - settings.realtime.due_hours)
            allowed += clock.read(experiment).real(longest) / timedelta(minutes=1)
        return ("STALLED", f"no file appeared for {silent:.0f} minutes") if silent > allowed else ("running", "")
    if errors:
        stage, words = next(iter(errors.items()))
        return "STALLED", f"{stage}: {words}"
    if progress is None:
        return "not begun", ""
    return "stopped", "nothing is at work; run/cycle.sh EXPERIMENT.toml goes on"


def _errors(settings: Settings, found: dict[datetime, Found]) -> dict[str, str]:
    """By stage its last words where they are an error and nothing of that stage came after them; then the driver's."""
    folder, errors = settings.experiment.folder, {}
    for stage in STAGES:
        after = max((products[stage] or 0.0 for products in found.values()), default=0.0)
        files = [folder.at(time).log(stage).with_suffix(".out") for time in found]
        for path in (folder.folder / "log" / f"{stage}.out", *files):
            if (_written(path) or 0.0) > after and (words := last_error(path)):
                errors[stage] = words
    driver = folder.folder / "log" / "cycle.out"  # there from when a run ended by itself until the next begins
    if driver.exists() and (words := last_error(driver)):
        errors["run/cycle.sh"] = words
    return errors


def last_error(path: Path) -> str:
    """The last error that a program told on its terminal since it was begun, as one line; empty where it told none."""
    lines = path.read_text(errors="replace").splitlines()
    for line in reversed(lines):
        if line.startswith(BEGUN):
            break
        if found := re.search(r"Z [\w.]+ ERROR (.*)|^(\w*(?:Error|Exception)\b.*)", line):
            return found[1] or found[2]
    return ""


def _cycle(settings: Settings, time: datetime, found: dict[datetime, Found], working: bool,
           errors: dict[str, str]) -> Cycle:
    here, products = settings.experiment.folder.at(time), found[time]
    before = found.get(time - settings.experiment.step, dict.fromkeys(STAGES))
    stages = {stage: _stage(settings, stage, before, products, working, errors) for stage in STAGES}
    counts, departures, damage = _observed(here.scores, products["verify"]) if products["verify"] else ({}, {}, [])
    files, made = _delivered(here.observations, products["observations"])
    return Cycle(times.name(time), stages, counts, departures, [*damage, *warnings(here)], files, made)


def _stage(settings: Settings, stage: str, before: Found, products: Found, working: bool,
           errors: dict[str, str]) -> Stage:
    ended, needed = products[stage], _needs(stage, before, products)
    if ended is not None:
        started = _written(settings.experiment.folder.folder / ".lock") or 0.0
        begun = [moment for moment in (*needed, started) if moment and moment <= ended]
        return Stage("done", _moment(ended), round(ended - max(begun), 3) if all(needed) and begun else None)
    ready = all(needed) or stage == "observations"
    if ready and stage in errors:
        return Stage("failed", None, None)
    return Stage("running" if ready and working else "waiting", None, None)


def _needs(stage: str, before: Found, products: Found) -> list[float | None]:
    """When that was there which a stage begins with; observations are made one time after the other."""
    if stage == "observations":
        return [before["observations"], *([before["verify"]] if before["verify"] else [])]
    made = STAGES[stage]
    return [*(products[name] for name in made.needs), *(before[name] for name in made.needs_before)]


@lru_cache(maxsize=10_000)
def _observed(scores: Path, _: float | None) -> tuple[dict[str, int], dict[str, Departures], list[str]]:
    """Counts by fate, departures by quantity, damage of the file; `_`, its time of change, tells a new file."""
    try:
        found = score_file.read(scores)
    except ContractError as error:
        return {}, {}, [f"verify: {error}"]
    totals = {quantity: found.fit.select(Flag.assimilated, quantity).total() for quantity in Quantity}
    departures = {quantity.name: Departures(quantity.units, int(total["count"]), total["omb_rms"], total["oma_rms"],
                                            total["background_spread"], total["error"])
                  for quantity, total in totals.items() if total["count"]}
    return {flag.name: number for flag, number in found.counts.items()}, departures, []


@lru_cache(maxsize=10_000)
def _delivered(path: Path, moment: float | None) -> tuple[dict[str, list[str]], datetime | None]:
    """Files of observations by fate, and when these were made, in real time; `moment` tells a new file."""
    try:
        source = observations.read_source(path) if moment else None
    except ContractError:  # the analysis warns of it
        source = None
    if source is None:
        return {}, None
    files: dict[str, list[str]] = {}
    for delivery in source.deliveries:
        files.setdefault(delivery.fate, []).append(delivery.file)
    return files, source.made


def warnings(here: TimeFolder) -> list[str]:
    """What the programs warned of at one time, by their logs."""
    logs = sorted((here.folder / "log").glob("*.log"))
    lines = (line for log in logs for line in log.read_text(errors="replace").splitlines())
    found = (re.search(r"Z ([\w.]+) (?:WARNING|ERROR) (.*)", line) for line in lines)
    return list(dict.fromkeys(f"{match[1]}: {match[2]}" for match in found if match))


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def write(path: Path, text: str) -> None:
    """A text file that appears when it is complete."""
    with paths.atomic(path) as partial:
        partial.write_text(text)
