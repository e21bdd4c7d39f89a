"""What the log warns of at the end of an analysis."""

import pytest

from letkf_mpi import summary


@pytest.mark.parametrize(("clipped", "words"), [(0, ""), (5, ""), (6, "6.0 per cent of all humidities were negative")])
def test_much_clipping_of_humidity_is_a_warning(clipped, words):
    """Ten columns of ten humidities in all members."""
    said = summary.clipping(clipped, of=100)
    assert said.startswith(words) and bool(said) == bool(words)
