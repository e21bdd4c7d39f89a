"""One command for everything: what its words start, and what it says where it cannot."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from contracts import base
from letkf import command, corridor
from letkf.command import COMMANDS

CHECKOUT = Path(__file__).resolve().parents[2]


def run(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "letkf", *words], capture_output=True, text=True, cwd=cwd)


def test_scripts_get_the_experiment_as_a_file_and_options_where_they_want_them():
    here = corridor.folder()
    climax = str(here / "experiments" / "twin_climax.toml")
    assert command.words_of(COMMANDS["cycle"], ["twin_climax", "--services"], here)[1:] == [
        "bash", str(here / "cycle.sh"), climax, "--services"]
    assert command.words_of(COMMANDS["redo"], ["twin_climax", "forecast", "1992010100"], here)[2:] == [
        str(here / "cycle.sh"), climax, "--redo", "forecast", "1992010100"]
    assert command.words_of(COMMANDS["validate"], ["mine.toml"], here)[1:] == [
        "-m", "contracts", "mine.toml", "--validate"]


def test_a_file_of_ones_own_comes_before_an_experiment_of_the_same_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "twin_climax").touch()
    assert corridor.experiment("twin_climax", corridor.known(corridor.folder())) == "twin_climax"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name):
    done = run(name, "--help")
    assert done.returncode == 0 and not done.stderr
    assert "EXPERIMENT.toml" in done.stdout or name == "inspect"


def test_every_experiment_that_comes_with_the_code_can_be_read():
    for name, path in corridor.experiments(corridor.folder()).items():
        assert "experiment" in tomllib.loads(base.complete(path)), name


def test_an_unknown_word_is_told_what_there_is():
    done = run("cycel", "twin_climax")
    assert done.returncode == 1 and done.stderr.startswith("letkf: expected one of experiments, demo,")
    assert "got 'cycel'" in done.stderr


def test_version_and_experiments():
    assert run("--version").stdout.startswith("letkf-mpi ")
    assert any(line.startswith("twin_climax ") for line in run("experiments").stdout.splitlines())


def test_without_a_corridor_it_says_where_it_looked(tmp_path):
    with pytest.raises(FileNotFoundError, match="cycle.sh: expected in .*nowhere"):
        corridor.folder([tmp_path / "nowhere"])


def test_a_reader_that_has_seen_enough_is_no_error():
    done = subprocess.run(["bash", "-o", "pipefail", "-c", f"{sys.executable} -m letkf experiments | true"],
                          capture_output=True, text=True, cwd=CHECKOUT)
    assert (done.returncode, done.stderr) == (0, "")
