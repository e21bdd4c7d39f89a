"""Where each file of a cycle lives, and how a file comes into being.

One folder per valid time holds everything about that time:

    <work>/<experiment>/experiment.toml  static.nc
                        2016010106/observations.nc  background/m0001.nc …  analysis/m0001.nc …
                                   background/members.nc                 instead of m0001.nc …, where that is asked for
                                   background/slots/-0200/m0001.nc …     two hours earlier (`slots`)
                                   background/parameters.nc              of the model, of each member (`parameters`)
                                   downscaled/ensspread.nc  m0001.nc …   the background on a finer grid
                                   downscaled/coarse/ensspread.nc  guess/ensspread.nc     from what, and interpolated
                                   inflation.nc  departures.nc  scores.nc  log/<stage>.log
                                   forecast/024h/ensmean.nc  ensspread.nc     an extended forecast, by lead
                        free/2016010106/ensmean.nc  ensspread.nc          the ensemble without any analysis
    <work>/<league>/forecasts/model.json  <experiment>/2016010106/deterministic/024h.nc      of one model, from means

A file is written under a temporary name in its own folder, flushed to the disk and renamed:
a file that exists under its name is complete, whatever was killed meanwhile.  Many files of one kind need not wait for
the disk one after the other (`side_by_side`).
"""

import errno
import os
import re
from collections.abc import Container, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from contracts import times
from contracts.errors import UserError


@dataclass(frozen=True)
class EnsembleFolder:
    """The members of one ensemble at one time with their mean and spread."""

    folder: Path

    def member(self, number: int) -> Path:
        """Members count from 1: `m0001.nc`, unless all are in one file. What reads or writes them: `members`."""
        return self.folder / f"m{number:04d}.nc"

    @property
    def together(self) -> Path:
        """All members in one file."""
        return self.folder / "members.nc"

    def part(self, numbers: Sequence[int]) -> Path:
        """The file of some of them, until all are there and put together."""
        return self.folder / f"m{min(numbers):04d}-{max(numbers):04d}.nc"

    def parts(self) -> list[Path]:
        """Those that are there."""
        return sorted(self.folder.glob("m[0-9]*-[0-9]*.nc"))

    @property
    def mean(self) -> Path:
        return self._statistic("mean.nc")

    @property
    def spread(self) -> Path:
        return self._statistic("spread.nc")

    def _statistic(self, before: str) -> Path:
        """`ensmean.nc`, which no pattern such as m*.nc takes for a member, or the name of one version ago, where that
        is there."""
        now, old = self.folder / f"ens{before}", self.folder / before
        return old if old.exists() and not now.exists() else now

    @property
    def parameters(self) -> Path:
        """Those of its members, where their model has some that are uncertain (`contracts.parameters`)."""
        return self.folder / "parameters.nc"

    def members(self, count: int) -> list[Path]:
        """Paths of members 1 … count, in order."""
        return [self.member(number) for number in range(1, count + 1)]

    def slot(self, offset: timedelta) -> "EnsembleFolder":
        """The same members `offset` later, or earlier where it is negative; named by hours and minutes."""
        hours, minutes = divmod(abs(offset) // timedelta(minutes=1), 60)
        sign = "-" if offset < timedelta() else "+"
        return EnsembleFolder(self.folder / "slots" / f"{sign}{hours:02d}{minutes:02d}")

    @property
    def tidied(self) -> Path:
        """Its presence says that the members were there and are no longer kept (`retention`)."""
        return self.folder / ".tidied"

    def files(self, count: int) -> list[Path]:
        """What belongs to it: both statistics, and all members, in one file where that is there, unless they are no
        longer kept."""
        members = [] if self.tidied.exists() else [self.together] if self.together.exists() else self.members(count)
        return [*members, self.mean, self.spread]

    def is_complete(self, count: int) -> bool:
        """Whether all of its files exist; with a `count` of 0 both statistics."""
        return all(path.exists() for path in self.files(count))


@dataclass(frozen=True)
class TimeFolder:
    """Everything about one valid time."""

    folder: Path

    @property
    def observations(self) -> Path:
        return self.folder / "observations.nc"

    @property
    def background(self) -> EnsembleFolder:
        return EnsembleFolder(self.folder / "background")

    @property
    def analysis(self) -> EnsembleFolder:
        return EnsembleFolder(self.folder / "analysis")

    @property
    def downscaled(self) -> EnsembleFolder:
        """The background on a finer grid, by a network; its spread is written last."""
        return EnsembleFolder(self.folder / "downscaled")

    def downscaled_from(self, what: Literal["coarse", "guess"]) -> EnsembleFolder:
        """The spread on the coarse grid that it was made of, and what interpolation makes of that."""
        return EnsembleFolder(self.folder / "downscaled" / what)

    def forecast(self, lead: timedelta) -> EnsembleFolder:
        """The extended forecast that started here, `lead` later."""
        return EnsembleFolder(self.folder / "forecast" / f"{lead // timedelta(hours=1):03d}h")

    def deterministic(self, lead: timedelta) -> Path:
        """The one forecast that started here from the mean of the analyses, `lead` later."""
        return self.folder / "deterministic" / f"{lead // timedelta(hours=1):03d}h.nc"

    @property
    def inflation(self) -> Path:
        return self.folder / "inflation.nc"

    @property
    def departures(self) -> Path:
        """Written last by the analysis: its presence says that the analysis is complete."""
        return self.folder / "departures.nc"

    @property
    def scores(self) -> Path:
        return self.folder / "scores.nc"

    def field(self, name: str) -> Path:
        """A diagnostic field of the analysis, such as `relaxation_factor`."""
        return self.folder / f"{name}.nc"

    def log(self, stage: str) -> Path:
        return self.folder / "log" / f"{stage}.log"


@dataclass(frozen=True)
class ExperimentFolder:
    """The folder of one experiment."""

    folder: Path

    @property
    def settings(self) -> Path:
        """The experiment file as it was run."""
        return self.folder / "experiment.toml"

    @property
    def static(self) -> Path:
        return self.folder / "static.nc"

    @property
    def stop(self) -> Path:
        """Its presence asks the services to end."""
        return self.folder / "stop"

    @property
    def clock(self) -> Path:
        """When the simulated clock began, where the experiment has one."""
        return self.folder / "clock.json"

    def at(self, time: datetime) -> TimeFolder:
        return TimeFolder(self.folder / times.name(time))

    def free(self, time: datetime) -> EnsembleFolder:
        """Ensemble that has run from the first background without any analysis."""
        return EnsembleFolder(self.folder / "free" / times.name(time))


@dataclass(frozen=True)
class LeagueFolder:
    """What a league keeps of the deterministic forecasts from its contestants' analyses."""

    folder: Path

    @property
    def model(self) -> Path:
        """Says by which model all of them are made."""
        return self.folder / "forecasts" / "model.json"

    def of(self, experiment: str) -> ExperimentFolder:
        """Those from the analyses of one contestant, by the name of its experiment."""
        return ExperimentFolder(self.folder / "forecasts" / experiment)


def made_again_by(path: Path) -> str:
    """What makes a file of an experiment again once it is missing, to end a sentence with; empty for other files."""
    folder = path.parent.parent if path.parent.name in ("background", "analysis") else path.parent
    if not re.fullmatch(r"\d{10}", folder.name) or folder.parent.name == "free":
        return ""
    here = TimeFolder(folder)
    seen = path.parent != folder or path in (here.observations, here.departures, here.scores)
    return ": run/cycle.sh EXPERIMENT.toml" + ("" if seen else f" --redo analysis {folder.name}")


@dataclass(frozen=True)
class Disk:
    """Flushes and renames finished files in threads of its own, while the next one is being written."""

    threads: ThreadPoolExecutor
    under_way: list[Future] = field(default_factory=list)

    def settle(self, partial: Path, path: Path) -> None:
        self.under_way.append(self.threads.submit(_settle, partial, path))

    def flush(self, partial: Path, path: Path) -> None:
        self.under_way.append(self.threads.submit(_flush_part, partial, path))


@dataclass(frozen=True)
class Withheld:
    """Keeps finished files under their temporary names."""

    waiting: list[tuple[Path, Path]] = field(default_factory=list)

    def settle(self, partial: Path, path: Path) -> None:
        self.waiting.append((partial, path))


@contextmanager
def withheld() -> Iterator[Withheld]:
    """Yield a `disk` for `atomic`: what was written with it appears when the block ends, or is removed if that fails.

    Raises UserError where the disk refuses.
    """
    files = Withheld()
    try:
        yield files
    except BaseException:
        for partial, _ in files.waiting:
            _remove(partial)
        raise
    for folder in {_settle(partial, path) for partial, path in files.waiting}:
        with _refused(folder):
            _flush(folder)


@contextmanager
def side_by_side() -> Iterator[Disk]:
    """Yield a `disk` for `atomic`: when the block ends, every file written with it is on the disk under its name.

    In which order they appear is open; what must come last is written after the block.  Raises UserError where the
    disk refuses.
    """
    with ThreadPoolExecutor(8) as threads:
        disk = Disk(threads)
        yield disk
        folders = {future.result() for future in disk.under_way}
    for folder in folders:
        with _refused(folder):
            _flush(folder)


@contextmanager
def atomic(path: Path, disk: Disk | Withheld | None = None) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success flush it and rename it to `path`, on failure remove it.

    With `disk` the last two happen beside what follows. The temporary name is fixed, so that what a killed writer left
    behind is overwritten by the next one and never piles up. Raises UserError where the disk refuses them or is full;
    other errors of the block itself go to the caller as they are.
    """
    path = Path(path)
    partial = _partial(path)
    folder(path.parent)
    try:
        with _refused(path, _FULL, partial):
            yield partial
    except BaseException:
        _remove(partial)
        raise
    if disk is not None:
        disk.settle(partial, path)
    else:
        into = _settle(partial, path)
        with _refused(into):
            _flush(into)


@contextmanager
def part_of_another(path: Path, disk: Disk) -> Iterator[Path]:
    """Yield the temporary path of a file that another process makes, to write a part of it, which is on the disk when
    the block of `disk` ends; who makes it lets it appear after that.  Raises UserError where the disk refuses."""
    partial = _partial(path)
    with _refused(path):
        yield partial
    disk.flush(partial, path)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def folder(path: Path) -> None:
    """Make a folder that is not there yet; raises UserError where the system refuses."""
    with _refused(path):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def writing(path: Path, disk: Disk | Withheld | None = None) -> Iterator[Path]:
    """The same for a block that writes and does nothing else: what a library says when the disk refuses, is the disk's.

    Raises UserError then.
    """
    try:
        with atomic(path, disk) as partial:
            yield partial
    except (OSError, RuntimeError) as error:
        raise UserError(f"{path}: could not be written ({error}); {_LOOK}") from error


def _remove(partial: Path) -> None:
    """Where a disk that has become read-only, for instance, refuses it too: why it was to go is what is told."""
    with suppress(OSError):
        partial.unlink(missing_ok=True)


def _settle(partial: Path, path: Path) -> Path:
    """Flush and rename; returns the folder, which is still to be flushed."""
    try:
        with _refused(path):
            _flush(partial)
            os.replace(partial, path)
    except BaseException:
        _remove(partial)
        raise
    return path.parent


def _flush_part(partial: Path, path: Path) -> Path:
    with _refused(path):
        _flush(partial)
    return path.parent


_LOOK = ("check the space left on the disk and whether you may write to the folder, or name another by [experiment] "
         "work or the environment variable WORK")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def _refused(path: Path, codes: Container[int] | None = None, partial: Path | None = None) -> Iterator[None]:
    """Say which file a disk refuses, with one of these error codes, or any of the file `partial`, or any at all: the
    error of a flush does not know."""
    try:
        yield
    except OSError as error:
        if codes is not None and error.errno not in codes and str(error.filename) != str(partial):
            raise
        raise UserError(f"{path}: could not be written ({error.strerror}); {_LOOK}") from error


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
