"""A small campaign: one fault of each kind, half of them with one process per step, half with services."""

import pytest

from tests.system import campaign

KINDS = list(campaign.FAULTS)


@pytest.mark.parametrize(("kinds", "services"), [(KINDS[::2], False), (KINDS[1::2], True)])
def test_whatever_happens_the_experiment_ends_with_the_same_bits(tmp_path, kinds, services):
    of_all = campaign.campaign(tmp_path, len(kinds), 1, services, kinds)
    assert not of_all.trouble, "\n".join(of_all.trouble)
    assert of_all.struck == len(kinds)
