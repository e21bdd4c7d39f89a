"""The members of an ensemble at one time, read and written: a file each (`state/1`), or all in one (`ensemble/1`).

    background/m0001.nc …     temperature (time, level, lat, lon)
    background/members.nc     temperature (realization, time, level, lat, lon), chunks of one member each

A file of several members has one writer, and a killed one leaves nothing of it.  Members that are
made batch by batch, or by several processes, are therefore first written as parts, `m0001-0080.nc`: files of the same
kind that hold some of them.  When all are there one process puts them together (`settle`).  Who reads finds a member in
whichever file it is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from contracts import netcdf, state
from contracts.paths import Disk, EnsembleFolder
from contracts.state import Opened, State, StateSpace
from contracts.variables import VARIABLES

if TYPE_CHECKING:
    import h5py

    from contracts.created import NewDataset

CONTRACT = "ensemble/1"
Course = np.ndarray | None  # (iterations + 1,) of the minimisation that made a member, see `state.write`
Place = tuple[Path, int]  # of a member: a file of several, and its row there


@dataclass(frozen=True)
class Form:
    """As what members are written: on the grid of `space` at `time`; in `one_file_of` so many, or each in its own;
    `start` of an extended forecast."""

    space: StateSpace
    time: datetime
    experiment: str = ""
    one_file_of: int | None = None
    start: datetime | None = None


def there(folder: EnsembleFolder, count: int) -> set[int]:
    """Those of the members 1 … `count` that are there, each in its own file or with others."""
    with_others = _places(folder)
    return {number for number in range(1, count + 1) if number in with_others or folder.member(number).exists()}


def read(folder: EnsembleFolder, numbers: Iterable[int], space: StateSpace, time: datetime) -> Iterator[State]:
    """The members with these numbers, from 1, one at a time; raises ContractError where one is not there, or does not
    fit."""
    places = _places(folder)
    for path, some in _by_file(numbers, places):
        if path is None:
            yield from (state.read(folder.member(number), space, time) for number in some)
            continue
        with netcdf.open_to_read(path, CONTRACT) as dataset:
            file = Opened.of(path, dataset, space, time)
            yield from (file.state(places[number][1]) for number in some)


def courses(folder: EnsembleFolder, numbers: Iterable[int]) -> Iterator[Course]:
    """What `write` was told of the minimisations that made the members with these numbers, from 1."""
    places = _places(folder)
    for path, some in _by_file(numbers, places):
        if path is None:
            yield from (state.course(folder.member(number)) for number in some)
            continue
        with netcdf.open_to_read(path, CONTRACT) as dataset:
            rows = dataset[state.COURSE][:] if state.COURSE in dataset.variables else None
            yield from (None if rows is None else _course(rows[places[number][1]]) for number in some)


def write(folder: EnsembleFolder, numbers: Sequence[int], fields: Iterable[np.ndarray], form: Form,
          disk: Disk | None = None, course: Sequence[Course] = ()) -> None:
    """Write the members with these numbers, from 1, `fields` (channel, lat, lon) of each: in their own files, or in one
    of all or of a part, which `settle` puts together.  `disk` and `course` as for `state.write`, of each."""
    each_course = course or [None] * len(numbers)
    states = (State(form.space, x, form.time) for x in fields)
    if form.one_file_of is None:
        for number, one, J in zip(numbers, states, each_course, strict=True):
            state.write(folder.member(number), one, number, form.experiment, start=form.start, disk=disk, course=J)
    elif numbers:
        path = folder.together if len(numbers) == form.one_file_of else folder.part(numbers)
        _write(path, numbers, zip(range(len(numbers)), states, strict=True), form, disk, each_course)


def settle(folder: EnsembleFolder, form: Form) -> None:
    """When all members are there, and on the disk: put them together where they are to be in one file."""
    if form.one_file_of is None or not folder.parts():
        return
    numbers, places = range(1, form.one_file_of + 1), _places(folder)
    by_file = sorted(numbers, key=lambda number: places.get(number, (folder.member(number), 0)))  # each is opened once
    course = dict(zip(by_file, courses(folder, by_file), strict=True))
    states = read(folder, by_file, form.space, form.time)
    rows = ((number - 1, one) for number, one in zip(by_file, states, strict=True))
    _write(folder.together, numbers, rows, form, None, [course[number] for number in numbers])
    remove_parts(folder)


def remove_parts(folder: EnsembleFolder) -> None:
    """Those that were put together, or that are to be made anew."""
    for path in folder.parts():
        path.unlink(missing_ok=True)


def _places(folder: EnsembleFolder) -> dict[int, Place]:
    """By number, of those that are with others in a file; a part is newer than what was put together before."""
    places: dict[int, Place] = {}
    for path in (*([folder.together] if folder.together.exists() else []), *folder.parts()):
        with netcdf.open_to_read(path, CONTRACT) as dataset:
            places |= {int(number): (path, row) for row, number in enumerate(dataset[state.MEMBER][:])}
    return places


def _by_file(numbers: Iterable[int], places: Mapping[int, Place]) -> Iterator[tuple[Path | None, Iterator[int]]]:
    """Neighbours among the `numbers` that are in the same file of several, None for those in files of their own."""
    return groupby(numbers, lambda number: places[number][0] if number in places else None)


def _write(path: Path, numbers: Sequence[int], rows: Iterable[tuple[int, State]], form: Form, disk: Disk | None,
           course: Sequence[Course]) -> None:
    """One file of several members, whose states come one at a time, each with its row."""
    with netcdf.create(path, CONTRACT, {"experiment": form.experiment}, disk) as dataset:
        scalars = state.add_axes(dataset, form.space, form.time, form.start, numbers)
        fields = {name: _new(dataset, name, form.space, scalars) for name in form.space.variables}
        _write_courses(dataset, course)
        for row, one in rows:
            for name, field in fields.items():
                field[row] = state.in_file(one, name)


def _new(dataset: "NewDataset", name: str, space: StateSpace, scalars: list[str]) -> "h5py.Dataset":
    from contracts.created import chunks_of  # here, because h5py takes time that a program saves which makes no file

    kind, levels = np.dtype(np.float32), (space.index(name).size,) if VARIABLES[name].on_levels else ()
    return dataset.add_parts(name, kind, (state.MEMBER, *state.dimensions_of(name)),
                             (1, 1, *chunks_of((*levels, *space.grid.shape), kind.itemsize)),
                             state.described(name, scalars))


def _write_courses(dataset: "NewDataset", course: Sequence[Course]) -> None:
    """Each as a row, NaN behind its end; nothing where no member was made by a minimisation."""
    longest = max((J.size for J in course if J is not None), default=0)
    if not longest:
        return
    rows = np.full((len(course), longest), np.nan)
    for row, J in zip(rows, course, strict=True):
        if J is not None:
            row[: J.size] = J
    dataset.add_dimension("iteration", longest)
    netcdf.add(dataset, state.COURSE, (state.MEMBER, "iteration"), rows, units="1",
               long_name="cost for each observation along the minimisation")


def _course(row: np.ndarray) -> Course:
    known = np.flatnonzero(~np.isnan(row))
    return row[: known[-1] + 1] if known.size else None
