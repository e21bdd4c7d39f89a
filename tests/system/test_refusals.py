"""A disk that refuses one call: a sentence, nothing half written, and the same bits from the next run."""

from itertools import islice

import pytest

from tests.system import power, refusals


def test_a_call_that_is_refused_costs_a_sentence_and_no_bits(tmp_path):
    """One in eleven of the first few hundred of `make campaign`: every stage, manner and how."""
    with refusals.trials(tmp_path) as of_all:
        assert all({"open", "write", "fsync", "rename", "close", "mkdir"} <= set(trial.calls) for trial in of_all)
        ends = {fault: trial.end(fault) for trial, fault in islice(refusals.planned(of_all), 0, 460, 11)}
    assert not {fault: end for fault, end in ends.items() if end not in refusals.ENDS.values()}
    for name, values in (("stage", refusals.STAGES), ("manner", refusals.MANNERS), ("how", refusals.HOWS)):
        assert {getattr(fault, name) for fault in ends} == set(values)
    assert {"told", "went on", "cut"} <= set(ends.values())


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 100])
def test_every_beginning_of_the_order_of_writes_is_spread_over_all(count):
    order = list(refusals.spread(count))
    assert sorted(order) == list(range(count))
    if count == 100:
        assert all(3 <= sum(place // 25 == quarter for place in order[:16]) <= 5 for quarter in range(4))


def test_no_power_leaves_what_was_flushed(tmp_path):
    """A flushed file with a line more, one never flushed, and a new name in a folder that was not flushed."""
    half, never, old, new = (tmp_path / name for name in ("half", "never", ".new.part", "new"))
    half.write_text("flushed, and more")
    never.write_text("lost")
    new.write_text("whole")
    journal = tmp_path / "journal"
    calls = [("open", half, "emptied"), ("write", half, ""), ("fsync", half, "7"), ("write", half, ""),
             ("open", never, "emptied"), ("write", never, ""), ("write", old, ""), ("fsync", old, "5"),
             ("rename", old, f"{new}\tnew"), ("fsync", tmp_path / "other", "failed")]
    journal.write_text("".join(f"{call}\t{path}\t{more}\n" for call, path, more in calls))
    assert power.lose(journal, names=False) == 2
    assert [path.read_text() for path in (half, never, new)] == ["flushed", "", "whole"]
    assert power.lose(journal, names=True) == 1
    assert old.read_text() == "whole" and not new.exists()
