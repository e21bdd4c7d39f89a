"""The experiment file as it was begun: a resumed run has the same bits only with the same settings.

`experiment.toml` in the experiment's folder is the file as it was run, under a line for each version of the code
that ran it.  What no state depends on may change, and when observations are waited for.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from contracts import base, paths
from contracts.config import Experiment
from contracts.errors import UserError

_VERSION_LINE = "# run with "
_MAY_CHANGE = {"experiment": {"end", "mode", "work"}, "nature": {"end"}, "model": {"batch"}, "analysis": {"threads"}}
_SECTIONS_MAY_CHANGE = {"realtime", "retention", "run", "verify"}


def freeze(text: str, path: Path, version: str) -> None:
    """Keep the experiment file `text` at `path` under a line for each version of the code that ran it.

    Raises UserError where the file kept there has other settings that decide the states.
    """
    kept = path.read_text() if path.exists() else ""
    refuse_change(kept, text, path.parent)
    versions = [line for line in kept.splitlines() if line.startswith(_VERSION_LINE)]
    line = f"{_VERSION_LINE}{version}"
    frozen = "\n".join([*versions, *([line] if line not in versions else []), "", text.strip(), ""])
    if frozen != kept:
        with paths.atomic(path) as partial:
            partial.write_text(frozen)


def refuse_other(file: Path, experiment: Experiment) -> None:
    """Raises UserError where the experiment was begun with other settings than those of `file`.

    For services, which work on an experiment for days: `run/cycle.sh` freezes, they look.
    """
    kept = experiment.folder.settings
    if kept.exists():
        refuse_change(kept.read_text(), base.complete(file), kept.parent)


def refuse_change(begun: str, asked: str, folder: Path) -> None:
    """Raises UserError that names the first setting in which two experiment files differ, if one was begun."""
    difference = _first_difference(tomllib.loads(begun), tomllib.loads(asked)) if begun else None
    if difference:
        raise UserError(f"{difference}; give the experiment another name, or remove {folder} to begin it anew")


def _first_difference(begun: Mapping, asked: Mapping) -> str | None:
    """A sentence about the first setting that differs between the two documents."""
    for section in sorted({*begun, *asked} - _SECTIONS_MAY_CHANGE):
        old, new = begun.get(section, {}), asked.get(section, {})
        for name in sorted({*old, *new} - _MAY_CHANGE.get(section, set())):
            if old.get(name) != new.get(name):
                was, now = (repr(table[name]) if name in table else "its default" for table in (old, new))
                return f"[{section}] {name}: this experiment was begun with {was}, the file now says {now}"
    return None
