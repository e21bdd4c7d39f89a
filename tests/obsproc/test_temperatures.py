"""The sensible temperature of a stack stands below the lowest virtual one, and is as good as what judged it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.constants import VIRTUAL_FACTOR
from contracts.variables import Flag, Quantity
from obsproc.bufr.reports import Events
from tests.obsproc.cases import observed
from tests.obsproc.made import rows

FACTOR = 1 + VIRTUAL_FACTOR * 0.009  # of the virtual temperature at 9 g/kg
CQC, VIRTMP = 5.0, 8.0


def stacked(*events, **level):
    """The temperature row of a level whose stack holds (TOB, TPC, TRC, TQM), the newest first."""
    top, *deeper = np.array(events, float)
    columns = dict(zip(("TOB", "TPC", "TRC", "TQM"), np.reshape(deeper, (-1, 4)).T, strict=True))
    found = rows(**dict(zip(("TOB", "TPC", "TRC", "TQM"), top, strict=True)) | level,
                 events=Events(np.zeros(len(deeper), int), np.arange(1, len(deeper) + 1), columns))
    return found.select(np.isin(found.quantity, (Quantity.temperature, Quantity.virtual_temperature)))


def test_what_was_written_on_a_virtual_temperature_is_virtual_too():
    found = stacked((21.8, CQC, 1, 1), (21.7, VIRTMP, 1, 2), (20.0, 1, 100, 2), QOB=9000.0)
    assert found.value == pytest.approx([293.15]) and found.quality.tolist() == [1]
    assert found.quantity.tolist() == [Quantity.temperature]


def test_the_search_begins_below_the_lowest_virtual_temperature():
    found = stacked((22.0, 6, 1, 2), (21.8, VIRTMP, 1, 2), (21.7, CQC, 1, 2), (21.6, VIRTMP, 1, 2), (20.0, 6, 1, 2),
                    (19.0, 1, 100, 2))
    assert found.value == pytest.approx([293.15])


def test_without_an_event_below_the_lowest_one_humidity_converts():
    events = (21.8, CQC, 1, 2), (21.7, VIRTMP, 1, 2)
    assert stacked(*events, QOB=9000.0).value == pytest.approx([(21.8 + 273.15) / FACTOR])
    assert stacked(*events).flag.tolist() == [Flag.not_converted]


def test_a_copy_of_a_measured_virtual_temperature_is_not_sensible():
    events = (22.0, VIRTMP, 3, 2), (22.0, 1, 100, 2)
    assert stacked(*events).quantity.tolist() == [Quantity.virtual_temperature]
    assert stacked(*events, QOB=9000.0).value == pytest.approx([(22.0 + 273.15) / FACTOR])
    later = (22.5, CQC, 1, 2), *events
    assert stacked(*later).quantity.tolist() == [Quantity.virtual_temperature]


@pytest.mark.parametrize(("reason", "mark"), [(0, 3), (1, 3), (2, 1), (4, 1)])
def test_a_mark_for_bad_humidity_does_not_condemn_the_sensible_temperature(reason, mark):
    assert stacked((21.8, VIRTMP, reason, 3), (20.0, 1, 100, 1)).quality.tolist() == [mark]


def test_the_mark_of_a_later_step_counts_whatever_the_reason_below():
    assert stacked((21.8, CQC, 1, 13), (21.7, VIRTMP, 2, 8), (20.0, 1, 100, 1)).quality.tolist() == [13]


@given(st.lists(st.tuples(st.floats(-80, 40), st.sampled_from([1.0, 2.0, CQC, 6.0, VIRTMP]),
                          st.sampled_from([0.0, 1.0, 2.0, 4.0]), st.integers(0, 15)), min_size=1, max_size=6))
def test_whatever_the_stack_the_value_is_the_newest_that_is_not_virtual(events):
    """By its definition, one event at a time from the bottom."""
    virtual = [program == VIRTMP for _, program, _, _ in events]
    lowest = max((depth for depth, is_virtual in enumerate(virtual) if is_virtual), default=-1)
    found = stacked(*events)
    if lowest == len(events) - 1:
        assert found.flag.tolist() == [Flag.not_converted]
    else:
        assert found.value == pytest.approx([events[lowest + 1][0] + 273.15])


@pytest.mark.parametrize("events", [((20.0, VIRTMP, 1, 2),), ((20.0, VIRTMP, 1, 2), (20.0 - 1.6, 1, 100, 2))])
def test_the_error_of_a_virtual_temperature_shrinks_as_it_does(events):
    found = stacked(*events, QOB=9000.0, TOE=1.2)
    assert found.error == pytest.approx(1.2 * found.value / (20.0 + 273.15), rel=1e-6)


def test_the_cases(samples):
    cases = samples / "cases/observations"
    sounding = observed(cases / "tv_below_cqc_event.prepbufr")
    values = {Quantity(code): value for code, value in zip(sounding.quantity, sounding.value, strict=True)}
    assert values[Quantity.temperature_2m] == pytest.approx(293.15)
    assert values[Quantity.temperature] == pytest.approx(288.15)
    rass = observed(cases / "rass_trc3.prepbufr")
    assert rass.quantity.tolist() == [Quantity.virtual_temperature] and rass.flag.tolist() == [Flag.not_converted]
