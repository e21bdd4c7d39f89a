"""Sensible temperatures from NCEP's stacks of events.

The first event of a stack is the current value. NCEP's step VIRTMP (program code 8) writes a virtual temperature on top
of the sensible one, and later steps (radiation correction, quality control, analysis) write theirs on top of that: a
stack with VIRTMP anywhere is virtual from the top down to its lowest such event, and sensible below. Where nothing
stands below, or what stands there was reported as virtual too, humidity converts,

    T = Tv / (1 + (1/ε − 1) q),

else the temperature stays virtual. An error of Tv, too, is one of T after division by that factor.

Reason codes of VIRTMP (prepobs, PREPDATA and CQCBUFR):

    0, 1   made with a good humidity                         the mark is that of both
    2, 4   made with a bad humidity, one not for use         the mark is that of Tv: the event below tells that of T
    3      RASS measures Tv, the event below is a copy       no sensible temperature in the stack

A temperature converted with humidity takes the worse of both marks. TFC is virtual whatever TOB is: sensible
temperatures of ships depart from it by -2 K in the median, from TFC converted with QFC by -0.1 K. So it is converted.
"""

from dataclasses import dataclass

import numpy as np

from obsproc import convert
from obsproc.bufr.reports import Events, Reports

VIRTUAL = 8  # TPC of NCEP's step VIRTMP
REPORTED_VIRTUAL = 3  # its reason codes, TRC
MARK_OF_VIRTUAL = (2, 4)
STACK = "T__EVENT"


@dataclass(frozen=True)
class Temperatures:
    """`value`, `background` (nlevel,) K, sensible unless `is_virtual`; `mark` NCEP's quality mark, NaN if missing;
    `error` K."""

    value: np.ndarray
    mark: np.ndarray
    error: np.ndarray
    background: np.ndarray
    is_virtual: np.ndarray


@dataclass(frozen=True)
class Groups:
    """Levels of one `report` (nlevel,) at the same `pressure` (nlevel,), which may help one another out."""

    report: np.ndarray
    pressure: np.ndarray

    def _numbers(self, rows: np.ndarray) -> np.ndarray:
        """(nrow,) a number that such levels among some rows share; without a pressure each stays alone."""
        report, pressure = self.report[rows], self.pressure[rows]
        order = np.lexsort((pressure, report))
        starts = np.ones(len(order), dtype=bool)
        starts[1:] = (np.diff(report[order]) != 0) | (pressure[order][1:] != pressure[order][:-1])
        group = np.empty(len(order), dtype=int)
        group[order] = np.cumsum(starts) - 1
        return group

    def shared(self, values: np.ndarray, needed: np.ndarray) -> np.ndarray:
        """`values` (nlevel,), where `needed` and missing those of the first level of their group that has one."""
        known = ~np.isnan(values)
        missing = needed & ~known
        if not missing.any():
            return values
        asks = np.zeros(int(self.report.max()) + 1, dtype=bool)
        asks[self.report[missing]] = True
        rows = np.flatnonzero((known | missing) & asks[self.report])
        number, known = self._numbers(rows), known[rows]
        of_group = np.full(len(rows), np.nan)
        of_group[number[known][::-1]] = values[rows[known]][::-1]  # backwards: of several the first is written last
        found = values.copy()
        found[rows[~known]] = of_group[number[~known]]
        return found


def of_levels(reports: Reports, groups: Groups) -> Temperatures:
    """Sensible temperatures wherever the file can tell them."""
    missing = np.full(reports.levels, np.nan)
    current, error, background = (reports.level.get(name, missing) for name in ("TOB", "TOE", "TFC"))
    own = reports.level.get("QOB", missing)
    own_mark = np.where(np.isfinite(own), reports.level.get("QQM", missing), np.nan)
    stack = _stack(reports)
    virtual = stack.is_virtual & np.isfinite(current)
    humidity, humidity_mark = (groups.shared(values, virtual) for values in (own, own_mark))
    humidity_background = groups.shared(reports.level.get("QFC", missing), np.isfinite(background))
    in_stack = np.isfinite(stack.below)
    sensible = np.where(in_stack, convert.kelvin(stack.below), _converted(current, humidity))
    unknown = virtual & ~np.isfinite(sensible)
    known = virtual & ~unknown
    value = np.where(known, sensible, convert.kelvin(current))
    mark = np.where(in_stack, stack.mark, np.fmax(reports.level.get("TQM", missing), humidity_mark))
    return Temperatures(
        value=value,
        mark=np.where(known, mark, reports.level.get("TQM", missing)),
        error=np.where(known, error * value / convert.kelvin(current), error),
        background=np.where(unknown, convert.kelvin(background), _converted(background, humidity_background)),
        is_virtual=unknown)


def _converted(virtual: np.ndarray, humidity: np.ndarray) -> np.ndarray:
    """Sensible temperature in K from degC and mg/kg."""
    return convert.sensible_temperature(convert.kelvin(virtual), humidity * convert.MILLIGRAM_PER_KILOGRAM)


@dataclass(frozen=True)
class _Stack:
    """What the stacks of all levels say, (nlevel,): whether VIRTMP wrote into them, the sensible temperature below its
    lowest event (degC, NaN: none) and its mark."""

    is_virtual: np.ndarray
    below: np.ndarray
    mark: np.ndarray


def _stack(reports: Reports) -> _Stack:
    n, missing = reports.levels, np.full(reports.levels, np.nan)
    program, reason, mark = (reports.level.get(name, missing) for name in ("TPC", "TRC", "TQM"))
    top = program == VIRTUAL
    events = reports.events.get(STACK)
    if events is None or not len(events.level) or "TPC" not in events.columns:
        return _Stack(top, missing, mark)
    made = events.columns["TPC"] == VIRTUAL
    deeper_reason, deeper_mark = (events.columns.get(name, np.full(len(made), np.nan)) for name in ("TRC", "TQM"))
    lowest = np.where(top, 0, -1)
    np.maximum.at(lowest, events.level[made], events.depth[made])
    copied = top & (reason == REPORTED_VIRTUAL)
    copied[events.level[made & (deeper_reason == REPORTED_VIRTUAL)]] = True
    usable = np.isfinite(events.columns["TOB"]) & (events.depth > lowest[events.level]) & ~copied[events.level]
    below = _first(events, usable, events.columns["TOB"], n)
    judges = ~(made & np.isin(deeper_reason, MARK_OF_VIRTUAL)) & np.isfinite(events.columns["TOB"])
    of_virtual = top & np.isin(reason, MARK_OF_VIRTUAL)
    return _Stack(lowest >= 0, np.where(lowest >= 0, below, np.nan),
                  np.where(of_virtual, _first(events, judges, deeper_mark, n), mark))


def _first(events: Events, which: np.ndarray, values: np.ndarray, levels: int) -> np.ndarray:
    """Of each level (nlevel,) the value of the first of some events, NaN where there is none."""
    found = np.full(levels, np.nan)
    rows = np.flatnonzero(which)
    level, first = np.unique(events.level[rows], return_index=True)  # events are sorted by depth
    found[level] = values[rows[first]]
    return found
