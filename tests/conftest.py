"""Fixtures of all tests."""

import os
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
