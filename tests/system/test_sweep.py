"""A nature run packed into a file, and a list of experiments that begin with it: prepared, cycled, put side by side."""

import csv
import re
import shutil
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


def test_a_league_ends_in_a_page_and_has_the_same_bits_however_many_cores(packed):
    """Of two contestants that the tests above may have run already, and of one that is begun anew on one core."""
    paths = [variant(packed, km) for km in (2000.0, 4000.0)]
    file = packed.work / "pair.toml"
    file.write_text("".join(f'[[contestant]]\nexperiment = "{path.name}"\n' for path in paths))
    done = league(packed, "--cores", 2, file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (packed.work / "pair" / "league.html").exists() and done.stdout.rstrip().endswith("league.html")
    folder = packed.work / "tiny_2000"
    before = data(folder)
    shutil.rmtree(folder)
    assert league(packed, "--cores", 1, file).returncode == 0
    experiment.same(data(folder), before)
    cost = list(csv.DictReader((folder / "log" / "cost.csv").open()))
    assert [int(row["cycles"]) for row in cost] == [CYCLES]
    assert float(cost[0]["cpu_seconds"]) > 0.5 and int(cost[0]["peak_mib"]) > 50


def test_a_league_with_another_task_is_refused_before_anything_is_made(packed):
    paths = [variant(packed, km) for km in (2600.0, 2700.0)]
    paths[1].write_text(paths[1].read_text().replace("[localization]", "[initial]\nevery_hours = 48\n[localization]")
                        .replace('[initial]\nfolder = "unpacked"\n', ""))
    file = packed.work / "unequal.toml"
    file.write_text("".join(f'[[contestant]]\nexperiment = "{path.name}"\n' for path in paths))
    for what in ([], ["--check"], ["--page"]):
        done = league(packed, *what, file)
        assert done.returncode == 1 and "contestants of a league have the same truth" in done.stderr
    assert not (packed.work / paths[0].stem).exists()


def league(made: Experiment, *arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run([CHECKOUT / "run" / "league.sh", *map(str, arguments)], env=made.environment, cwd=made.work,
                          text=True, capture_output=True, timeout=2 * CYCLE_LIMIT_S)


@pytest.mark.parametrize("arguments", [["-j"], ["x.toml", "-j"], ["-j", "x.toml"], []])
def test_what_it_cannot_understand_is_answered_with_its_use(tmp_path, arguments):
    done = sweep(Experiment(tmp_path / "none.toml", tmp_path), *arguments)
    assert done.returncode == 2 and "run/sweep.sh [-j N]" in done.stdout


@pytest.mark.parametrize("what", ["--forecasts", "--page"])
def test_a_league_hands_on_what_its_forecasts_are_told(tmp_path, what):
    """By a stand-in for Python that writes down what it is asked."""
    python, asked = tmp_path / "python", tmp_path / "asked"
    python.write_text(f'#!/bin/sh\necho "$*" >>{asked}\ncase "$*" in\n*--list) echo a.toml ;;\n'
                      "*--forecasts) printf '%s\\n' 'm n.toml' --leads 24 ;;\nesac\n")
    python.chmod(0o755)
    done = subprocess.run([CHECKOUT / "run" / "league.sh", what, "x.toml"], cwd=tmp_path, text=True, timeout=60,
                          env={"PATH": "/usr/bin:/bin", "PYTHON": str(python)}, capture_output=True)
    assert done.returncode == 0, done.stderr
    lines = [line.removeprefix("-m ") for line in asked.read_text().splitlines() if line.startswith("-m ")]
    told = ["verify league x.toml --forecasts", "model_server deterministic m n.toml --leads 24"]
    assert lines == ["verify league x.toml --list", *(told if what == "--forecasts" else []), "verify league x.toml"]
