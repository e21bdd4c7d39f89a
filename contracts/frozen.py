"""The experiment file as it was begun: a resumed run has the same bits only with the same settings.

`experiment.toml` in the experiment's folder is the file as it was run, under a line for each version of the code
that ran it.  A setting may change where no state depends on it, by the word of the programs that read it, and until
the first file is there that depends on it.  Written out at its default it is no other.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from contracts import base, config, paths, programs, stages, texts, times, validation
from contracts.clock import Realtime
from contracts.config import MOVED, Experiment
from contracts.errors import UserError
from contracts.retention import Retention
from contracts.slots import Slots
from contracts.stages import Run

_VERSION_LINE = "# run with "


def is_kept(text: str, experiment: Experiment, version: str) -> bool:
    """Whether `freeze` would change nothing."""
    kept = _kept(experiment)
    return bool(kept) and kept == _frozen(text, kept, version)


def freeze(text: str, experiment: Experiment, run: Run, version: str) -> None:
    """Keep the experiment file `text` in the experiment's folder under a line for each version of the code that ran it.

    Raises UserError where the file kept there has another setting on which a file that is there depends.
    """
    kept = _kept(experiment)
    for setting, stage in _differences(kept, text, run):
        if made := _first_file(experiment, stage):
            raise UserError(f"{setting}, and {made} depends on it; {_instead(experiment)}")
    frozen = _frozen(text, kept, version)
    if frozen != kept:
        with paths.atomic(experiment.folder.settings) as partial:
            partial.write_text(frozen)


def refuse_other(file: Path, experiment: Experiment) -> None:
    """Raises UserError where the experiment was begun with other settings than those of `file`.

    For services, which work on an experiment for days: `run/cycle.sh` freezes, they look.
    """
    text = base.complete(file)
    for setting, _ in _differences(_kept(experiment), text, stages.run_of(text, str(file))):
        raise UserError(f"{setting}; {_instead(experiment)}")


def _kept(experiment: Experiment) -> str:
    path = experiment.folder.settings
    try:
        text = texts.read(path)
        texts.table(text, str(path))
    except FileNotFoundError:
        return ""
    except (OSError, UserError) as error:
        raise UserError(f"{error}; this is the experiment file as the experiment was begun: copy there the one that it "
                        f"was begun with, or remove {path.parent} to begin it anew") from None
    return text


def _frozen(text: str, kept: str, version: str) -> str:
    versions = [line for line in kept.splitlines() if line.startswith(_VERSION_LINE)]
    line = f"{_VERSION_LINE}{version}"
    return "\n".join([*versions, *([line] if line not in versions else []), "", text.strip(), ""])


def _instead(experiment: Experiment) -> str:
    folder = experiment.folder.folder
    return f"give the experiment another name, or remove {folder} to begin it anew"


def _differences(begun: str, asked: str, run: Run) -> Iterator[tuple[str, str]]:
    """A sentence about each setting that differs between two experiment files, with each stage that depends on it."""
    before, now = _document(begun or asked), _document(asked)
    for section in sorted({*before, *now}):
        old, new = before.get(section, {}), now.get(section, {})
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name) and not _are_the_same(section, name, before, now):
                was, says = (repr(table[name]) if name in table else "its default" for table in (old, new))
                sentence = f"[{section}] {name}: this experiment was begun with {was}, the file now says {says}"
                yield from ((sentence, stage) for stage in stages.depending_on(section, name, run))


class _Shared(config.Section, frozen=True):
    """The sections of contracts itself."""

    experiment: Experiment
    grid: config.GridSettings = config.GridSettings()
    state: config.StateSettings = config.StateSettings()
    slots: Slots | None = None
    realtime: Realtime = Realtime()
    run: Run = Run()
    retention: Retention = Retention()


def _are_the_same(section: str, name: str, *documents: dict[str, Any]) -> bool:
    """Whether a setting has one value in all `documents` by the struct of a program that reads it: by its default,
    where one of them leaves it out."""
    import tomli_w  # here, because it takes time that a program saves which compares none

    for kind in [_Shared] if section in programs.SHARED else validation.structs(section):
        try:
            values = [msgspec.to_builtins(getattr(config.decode(tomli_w.dumps(each), kind, "it"), section))[name]
                      for each in documents]
        except (UserError, AttributeError, KeyError, TypeError):  # of another version, or no section with defaults
            continue
        return all(value == values[0] for value in values)
    return False


def _document(text: str) -> dict[str, Any]:
    """By section the settings of an experiment file, those that moved at their new place."""
    document = texts.table(text, "the experiment file")
    for (section, name), (new_section, new_name) in MOVED.items():
        if name in document.get(section, {}):
            document.setdefault(new_section, {})[new_name] = document[section].pop(name)
    return document


def _first_file(experiment: Experiment, stage: str) -> Path | None:
    """A file that `stage` has made at any time, whatever the experiment's times are now."""
    folder = experiment.folder.folder
    if stage == stages.INITIAL:
        return next(folder.glob("*/background/*.nc"), None)
    there = sorted(times.parse(path.name) for path in folder.glob("[0-9]" * 10))
    found = (file for time in there for path in stages.products(experiment, stage, time) for file in _files(path))
    return next(found, None)


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from path.rglob("*.nc")
    elif path.exists():
        yield path
