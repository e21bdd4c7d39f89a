"""A small campaign: one fault of each kind, half of them with one process per step, half with services."""

import pytest

from tests.system import campaign, faults

IN_REFUSALS = ("call refused, EIO", "call refused, ENOSPC", "write half done", "disk read-only")  # tested there
KINDS = [kind for kind in faults.FAULTS if kind not in IN_REFUSALS]
OF_THE_ANALYSIS = ["analysis killed", "writer killed in a write", "all killed", "bit flipped", "file size limit"]


@pytest.mark.parametrize(("analysis", "kinds", "services"), [
    ("letkf", KINDS[::2], False), ("letkf", KINDS[1::2], True), ("three_d_var", OF_THE_ANALYSIS, True)])
def test_whatever_happens_the_experiment_ends_with_the_same_bits(tmp_path, analysis, kinds, services):
    of_all = campaign.campaign(tmp_path, len(kinds), 1, services, kinds, analysis)
    assert not of_all.trouble, "\n".join(of_all.trouble)
    assert of_all.struck == len(kinds)
