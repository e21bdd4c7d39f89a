"""What the log warns of at the end of an analysis."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from letkf_mpi import summary
from letkf_mpi.local.update import Diagnostics


@pytest.mark.parametrize(("clipped", "words"), [(0, ""), (5, ""), (6, "6.0 per cent of all humidities were negative")])
def test_much_clipping_of_humidity_is_a_warning(clipped, words):
    """Ten columns of ten humidities in all members."""
    diagnostics = cast(Diagnostics, SimpleNamespace(clipped=np.array([clipped, *9 * [0]])))
    said = summary.clipping(diagnostics, humid=10)
    assert said.startswith(words) and bool(said) == bool(words)
