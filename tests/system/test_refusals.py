"""A disk that refuses one call: a sentence, nothing half written, and the same bits from the next run."""

import random

from tests.system import refusals


def test_a_call_that_is_refused_costs_a_sentence_and_no_bits(prepared, tmp_path):
    """Of each stage two; `make campaign` refuses more."""
    rng, found = random.Random(1), []
    for trial in refusals.trials(prepared, tmp_path):
        assert {"open", "write", "fsync", "rename", "close"} <= set(trial.calls)
        for how in (rng.choice(("EIO", "ENOSPC")), "short"):
            number = rng.randrange(len(trial.counted(how))) + 1
            found += trial.ends(range(number, number + 1), how)
    assert not [end for end in found if end.state not in refusals.MAY_BE]
    assert {end.stage for end in found} == set(refusals.STAGES)
