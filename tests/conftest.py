"""Fixtures of all tests."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest

# A loaded machine is slow: how long an example takes says nothing about its law.
hypothesis.settings.register_profile("laws", deadline=None)
hypothesis.settings.load_profile("laws")

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real observation files and states; a test that wants them fails plainly without."""
    folder = Path(os.environ.get("LETKF_SAMPLES", CHECKOUT / "../shared/data")).resolve()
    if not (folder / "prepbufr").is_dir():
        pytest.fail(f"no sample data in {folder}: set LETKF_SAMPLES to the folder that holds prepbufr/")
    return folder


@pytest.fixture(scope="session")
def installed(tmp_path_factory) -> Path:
    """A folder with the example package, as a user would install it, offline; to be put on PYTHONPATH."""
    folder = tmp_path_factory.mktemp("example")
    source, target = folder / "source", folder / "installed"
    shutil.copytree(CHECKOUT / "tests/model_server/example_package", source)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
                    "--no-build-isolation", "--target", str(target), str(source)], check=True, timeout=120)
    return target
