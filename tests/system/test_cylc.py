"""The cycle as a Cylc workflow, played by the real scheduler: failures are tried again, failed observations gone round,
and what cannot be helped ends it."""

import os
import shutil
import signal
import subprocess
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from contracts import state, times
from tests.system.experiment import (
    CHECKOUT,
    SHOWN,
    START,
    Experiment,
    bring,
    copy,
    data,
    kill,
    processes_of,
    same,
    smooth_state,
    told,
)

HERE = CHECKOUT / ".venv" / "cylc" / "bin" / "cylc"
CYLC = shutil.which(HERE) or shutil.which("cylc")
LIMIT_S = 900  # a quiet machine needs a tenth of it

pytestmark = pytest.mark.skipif(CYLC is None, reason="no Cylc here: make cylc")

FAILS = """
import os, runpy, sys
from pathlib import Path
mark = Path(os.environ["WORK"]) / f"failed.{sys.argv[2]}"
if sys.argv[2] in os.environ["FAIL_ONCE"].split() and not mark.exists():
    mark.touch()
    sys.exit("failed as it was told")
if sys.argv[2] in os.environ["FAIL_ALWAYS"].split():
    sys.exit("failed as it was told")
runpy.run_module("letkf_mpi.analysis", run_name="__main__")
"""


@pytest.fixture
def play(tmp_path):
    """A function that runs run/cylc.sh to its end, one rank, with failures of the analysis at some times."""
    made: list[Experiment] = []

    def played(experiment: Experiment, once: str = "", always: str = "") -> subprocess.CompletedProcess:
        made.append(experiment)
        if not (experiment.work / "fails.py").exists():
            bring(experiment, "fails", FAILS)
        before = (f'export HOME="{tmp_path}" CYLC="{CYLC}" RETRIES=PT1S RANKS=1 PYTHONPATH="{experiment.work}" '
                  f'FAIL_ONCE="{once}" FAIL_ALWAYS="{always}"')
        process = experiment.start("cylc.sh", before)
        try:
            out, err = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            kill(process)
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    yield played
    for experiment in made:
        for process in processes_of(experiment):
            os.kill(process, signal.SIGKILL)


def test_two_days_with_a_failure_end_with_the_bits_of_the_driver(fresh, play, tmp_path):
    """Every twelve hours; the analysis of the second time fails at its first try; members go after twelve hours."""
    text = SHOWN.replace("end = 1989-01-01T06", "end = 1989-01-02T12").replace(
        "members = 8", "members = 8\nstep_hours = 12")
    fresh.path.write_text(text + "[retention]\nmembers_hours = 12\nmonthly = false\n")
    space = fresh.settings.state.space(fresh.settings.grid.grid())
    for when in times.every(START, START + timedelta(days=2), timedelta(hours=12)):
        state.write(fresh.work / "truth" / f"{times.name(when)}.nc", smooth_state(space, 0, when))
    driven = copy(fresh.work, tmp_path / "driven")
    assert driven.run(after="--services").returncode == 0

    done = play(fresh, once="1989010112")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "19890101T12Z/analysis/02" in done.stderr
    same(data(fresh.folder), data(driven.folder))  # without the members that are not kept
    assert not list((fresh.folder / times.name(START)).glob("analysis/m[0-9]*.nc"))
    assert told(fresh) == ("complete", "done", "")
    again = play(fresh)
    assert again.returncode == 0 and "4 cycles, 4 complete already" in again.stdout


def test_failed_observations_are_gone_round_and_a_failed_analysis_ends_it(fresh, play):
    """In real time, every six hours: the first time has no observations, the second no analysis."""
    text = SHOWN.replace('truth = "truth/', 'truth = "seen/', 1).replace("research", "realtime")
    fresh.path.write_text(text)
    (fresh.work / "seen").mkdir()
    shutil.copy(fresh.work / "truth" / "1989010106.nc", fresh.work / "seen")
    done = play(fresh, always="1989010106")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "19890101T00Z/observations/02" in done.stderr and "19890101T06Z/stalled" in done.stderr
    files = data(fresh.folder)
    unchanged = (files[f"1989010100/{kind}/m0001.nc"]["temperature"] for kind in ("background", "analysis"))
    np.testing.assert_array_equal(*unchanged)
    assert "1989010106/background/ensmean.nc" in files and "1989010106/departures.nc" not in files
    assert told(fresh)[0] == "STALLED"


def test_the_cut_off_is_told_by_obsproc(fresh):
    """What the xtrigger asks: with files that are missing, no before the cut-off, yes after it."""
    text = fresh.path.read_text().replace("research", "realtime").replace('"synthetic"', '"prepbufr"', 1)
    for start, answer in (("2199", "no"), ("1989", "yes")):
        fresh.path.write_text(text.replace("1989-01-01", f"{start}-01-01"))
        done = fresh.program("obsproc", "ready", str(fresh.path), f"{start}010100")
        assert done.stdout.split() == [answer], done.stderr


def test_the_xtrigger_asks_the_python_of_the_experiment(tmp_path):
    """Cylc loads it from the workflow's folder; whatever is not no lets the stage begin, which then fails aloud."""
    folder = Path(CHECKOUT / "run" / "cylc" / "lib" / "python")
    for answer, expected in (("no", False), ("yes", True), ("", True)):
        python = tmp_path / "python"
        python.write_text(f'#!/bin/sh\necho "$*" >"{tmp_path}/asked"\necho {answer}\n')
        python.chmod(0o755)
        code = ("from observations_ready import observations_ready; "
                f"print(observations_ready({str(python)!r}, 'x.toml', '19890101T06Z')[0])")
        done = subprocess.run(["python3", "-c", code], cwd=folder, capture_output=True, text=True, timeout=60,
                              env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"})
        assert done.stdout.strip() == str(expected), done.stderr
        assert (tmp_path / "asked").read_text().split() == ["-m", "obsproc", "ready", "x.toml", "1989010106"]
