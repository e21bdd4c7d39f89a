"""An experiment file that stands on another: a sweep over one setting is a few files of a few lines.

    base = "climax.toml"            # beside this file

    [localization]
    horizontal_km = 800.0

Settings of the file take the place of those of its base, one by one; a base may have a base.  What is kept of an
experiment as it was run is the whole.
"""

from pathlib import Path
from typing import Any

from contracts import texts
from contracts.errors import UserError

KEY = "base"
_DEPTH = 8  # more bases upon bases than this go round in a circle


def complete(path: Path, depth: int = 0) -> str:
    """The text of an experiment file, as it is or, with a base, written out as a whole; raises UserError."""
    path = Path(path)
    try:
        text = texts.read(path)
    except OSError as error:
        raise UserError(f"{path}: no experiment file can be read there ({error.strerror}); name one, such as "
                        "run/experiments/twin_speedy.toml") from None
    document = texts.table(text, str(path))
    loose = [name for name, value in document.items() if name != KEY and not isinstance(value, dict)]
    if loose:
        raise UserError(f"{path}: {', '.join(loose)}: stands in no section; only {KEY} may, above the first section: "
                        "put all else below the name of its section, such as [experiment]")
    if KEY not in document:
        return text
    if depth == _DEPTH:
        raise UserError(f"{path}: base upon base, more than {_DEPTH}; do they name one another?")
    import tomli_w  # here, because it takes time that a program saves which stands on no base

    below = texts.table(complete(path.parent / str(document.pop(KEY)), depth + 1), str(path))
    return tomli_w.dumps(merged(below, document))


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Sections of both; within a section the settings of `above` win."""
    names = dict.fromkeys([*below, *above])
    return {name: {**below.get(name, {}), **above.get(name, {})} for name in names}
