"""The packages themselves: what they must keep to is tested in the environments that `make` makes for them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from model_server.models import OWN_ENVIRONMENT

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[2]


def python_of(name: str) -> Path:
    """The interpreter of its environment; one elsewhere is named by EARTH2STUDIO_PYTHON or ANEMOI_PYTHON."""
    return Path(os.environ.get(f"{name.upper()}_PYTHON") or Path(sys.prefix, name, "bin", "python"))


@pytest.mark.parametrize("name", OWN_ENVIRONMENT)
def test_models_of_the_package_keep_its_laws(name):
    python = python_of(name)
    if not python.exists():
        pytest.skip(f"no {name} here: make {name}")
    process = subprocess.run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", HERE / f"{name}_laws.py"],
                             cwd=CHECKOUT, capture_output=True, text=True, timeout=900,
                             env=os.environ | {"PYTHONPATH": str(CHECKOUT)})
    assert process.returncode == 0, process.stdout[-6000:] + process.stderr[-3000:]
    assert " passed" in process.stdout and "skipped" not in process.stdout, process.stdout[-3000:]
