"""What a loss of power leaves of files: of each what was flushed to the disk, under names that may be the old ones.

Taken from the journal of the shim (`refuse.c`, REFUSE_COUNT).  The harshest that POSIX allows for data: whatever was
written after the last flush is gone, and a file that was never flushed is empty.  A new name may be there before its
folder is flushed or not: `names` says whether such names are lost too.
"""

import os
from pathlib import Path


def lose(journal: Path, names: bool) -> int:
    """Take from the files what the disk had not got; returns of how many files something was lost."""
    flushed, dirty, unsure = _left(journal)
    lost = 0
    for path in dirty:
        if path.exists() and path.stat().st_size > flushed.get(path, 0):
            os.truncate(path, flushed.get(path, 0))
            lost += 1
    for old, new in reversed(unsure if names else []):
        if new.exists():
            os.replace(new, old)
            lost += 1
    return lost


def _left(journal: Path) -> tuple[dict[Path, int], set[Path], list[tuple[Path, Path]]]:
    """Bytes flushed, by file; files written to since; new names whose folders were not flushed since."""
    flushed: dict[Path, int] = {}
    dirty: set[Path] = set()
    unsure: list[tuple[Path, Path]] = []
    for line in journal.read_text().splitlines():
        call, name, *more = line.split("\t")
        path = Path(name)
        if more[0] == "failed" or call == "refused":
            continue
        if call in ("write", "truncate") or call == "open" and more[0] == "emptied":
            dirty.add(path)
        elif call == "fsync":
            unsure = [(old, new) for old, new in unsure if new.parent != path]
            flushed[path] = int(more[0])
            dirty.discard(path)
        elif call == "rename":
            new = Path(more[0])
            flushed[new] = flushed.pop(path, 0)
            dirty = {new if each == path else each for each in dirty - {new}}
            if more[1] == "new":
                unsure.append((path, new))
        elif call == "unlink":
            dirty.discard(path)
            flushed.pop(path, None)
    return flushed, dirty, unsure
