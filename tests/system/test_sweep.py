"""A nature run packed into a file, and a list of experiments that begin with it: prepared, cycled, put side by side."""

import re
import subprocess
from pathlib import Path

import pytest

from contracts import static
from tests.system import experiment
from tests.system.experiment import CHECKOUT, CYCLE_LIMIT_S, CYCLES, TEXT, Experiment, data

PACKED = """base = "tiny.toml"
[experiment]
name = "{name}"
[nature]
folder = "unpacked"
packed = "{work}/tiny.h5"
[initial]
folder = "unpacked"
[synthetic]
truth = "unpacked/%Y%m%d%H.nc"
[verify]
truth = "unpacked/%Y%m%d%H.nc"
headline = ["temperature_500"]
[localization]
horizontal_km = {km}
"""


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> Experiment:
    """An experiment whose truth and climate were packed into tiny.h5."""
    made = experiment.make(tmp_path_factory.mktemp("packed") / "work", TEXT + '[nature]\nfolder = "truth"\n')
    settings = made.settings
    static.write(made.work / "truth" / "static.nc", experiment.land_static(settings.grid.grid()))
    done = made.program("model_server", "pack", str(made.path), str(made.work / "tiny.h5"))
    assert done.returncode == 0, done.stderr
    return made


def variant(made: Experiment, km: float) -> Path:
    path = made.work / f"tiny_{km:g}.toml"
    path.write_text(PACKED.format(name=path.stem, work=made.work, km=km))
    return path


def sweep(made: Experiment, *arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run([CHECKOUT / "run" / "sweep.sh", *map(str, arguments)], env=made.environment, cwd=made.work,
                          text=True, capture_output=True, timeout=2 * CYCLE_LIMIT_S)


def test_a_sweep_ends_in_one_table_and_resumes(packed):
    paths = [variant(packed, km) for km in (2000.0, 4000.0)]
    done = sweep(packed, "-j", 2, *paths)
    assert done.returncode == 0, done.stdout + done.stderr
    for path in paths:
        assert re.search(rf"\| {path.stem} +\| {CYCLES} of {CYCLES} +\|", done.stdout)
        assert "base =" not in (packed.work / path.stem / "experiment.toml").read_text()
    before = data(packed.work / "tiny_2000")
    again = sweep(packed, *paths)
    assert again.stdout.splitlines()[-12:] == done.stdout.splitlines()[-12:]
    assert data(packed.work / "tiny_2000").keys() == before.keys()


def test_one_that_fails_stops_none_of_the_others(packed):
    good, bad, unreadable = (variant(packed, km) for km in (2500.0, 3000.0, 3500.0))
    bad.write_text(bad.read_text().replace("tiny.h5", "nothing.h5"))
    unreadable.write_text("this is no experiment")
    done = sweep(packed, bad, unreadable, good)
    assert done.returncode == 1
    assert f"{bad}  could not be prepared" in done.stdout
    assert "nothing.h5: no such file" in done.stdout
    assert re.search(rf"\| {good.stem} +\| {CYCLES} of {CYCLES} +\|", done.stdout)
    assert f"failed: {bad} {unreadable}; the same command tries again" in done.stderr
    sweep(packed, bad)
    assert (packed.work / bad.stem / "sweep.log").read_text().count("nothing.h5: no such file") == 2


@pytest.mark.parametrize("arguments", [["-j"], ["x.toml", "-j"], ["-j", "x.toml"], []])
def test_what_it_cannot_understand_is_answered_with_its_use(tmp_path, arguments):
    done = sweep(Experiment(tmp_path / "none.toml", tmp_path), *arguments)
    assert done.returncode == 2 and "run/sweep.sh [-j N]" in done.stdout
