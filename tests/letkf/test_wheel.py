"""A wheel holds all that an experiment needs: it is installed alone, and cycles."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]

EXPERIMENT = """
base = "{twin}"
[experiment]
name = "installed"
start = 1992-01-01T00:00:00Z
end = 1992-01-01T00:00:00Z
members = 4
[run]
figures = false
status = false
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Of the files that git knows, so that nothing of this checkout's own making comes in."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, check=True, capture_output=True).stdout
    for name in (name for name in listed.decode().split("\0") if name and (CHECKOUT / name).exists()):
        if not name.startswith("tests/"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            os.link(CHECKOUT / name, source / name)
    words = ["-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(out), "."]
    subprocess.run([sys.executable, *words], cwd=source, check=True)
    (made,) = out.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The folder that the wheel alone was installed in."""
    target = tmp_path_factory.mktemp("installed")
    words = ["-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run([sys.executable, *words], check=True)
    return target


def test_it_holds_scripts_experiments_machines_and_starter_weights(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("run", "networks/starter"):
        for path in (CHECKOUT / folder).rglob("*"):
            name = str(path.relative_to(CHECKOUT)).replace("run/", "letkf/run/", 1)
            assert not path.is_file() or path.suffix == ".pyc" or name in names, name
    assert any(name.startswith("letkf_mpi/kernel/_lanes.") and name.endswith(".so") for name in names)


def test_it_cycles_where_no_checkout_is(installed, tmp_path):
    twin = installed / "letkf" / "run" / "experiments" / "twin_climax.toml"
    experiment = tmp_path / "installed.toml"
    experiment.write_text(EXPERIMENT.format(twin=twin))
    own = {"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1", "RANKS": "1", "WORK": str(tmp_path / "work")}
    for word in ("prepare", "cycle"):
        done = subprocess.run([sys.executable, "-m", "letkf", word, str(experiment)], cwd=tmp_path,
                              env={**os.environ, **own}, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "work" / "installed" / "1992010100" / "scores.nc").exists()
    assert "temperature_500" in done.stdout
