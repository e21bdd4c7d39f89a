"""What a model makes once on a machine and keeps for the processes that come later, in the user's cache folder.

A file stands under a name made of all that it follows from, so that none is ever of something else, and behind the
checksum of what it holds, so that a damaged one is made again.  What others can have written is not read: a compiled
program does what its writer wants.  Deleting the folder is always safe.
"""

import hashlib
import logging
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)
CHECKSUM = hashlib.sha256().digest_size  # bytes in front


def path(name: str, suffix: str, follows_from: Iterable[bytes | str]) -> Path:
    """Where `name` is kept that follows from this: in `$XDG_CACHE_HOME/model_server`, by default `~/.cache/…`."""
    found = hashlib.sha256()
    for part in follows_from:
        content = part.encode() if isinstance(part, str) else part
        found.update(len(content).to_bytes(8) + content)  # two parts are not one
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "model_server"
    return folder / f"{name}-{found.hexdigest()[:16]}{suffix}"


def read(path: Path) -> bytes | None:
    """What was kept; None where it is not there, damaged, or may be of others, which the log tells."""
    try:
        if not all(map(_is_ours_alone, (path, path.parent))):
            log.warning("%s, or its folder, can be written by others, who could put any program there: it is made "
                        "again; chmod go-w both", path)
            return None
        kept = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as fault:
        log.warning("%s cannot be read (%s) and is made again", path, fault)
        return None
    checksum, content = kept[:CHECKSUM], kept[CHECKSUM:]
    if hashlib.sha256(content).digest() != checksum:
        log.warning("%s is damaged and is made again", path)
        return None
    return content


def write(path: Path, content: bytes) -> None:
    """Keep it, by rename; where the disk refuses, the log tells that every process will make it again."""
    temporary = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.touch(mode=0o600)
        temporary.write_bytes(hashlib.sha256(content).digest() + content)
        temporary.replace(path)
    except OSError as fault:
        log.warning("%s cannot be kept (%s); every process will make it again", path, fault)
        with suppress(OSError):  # where the folder is none it is not there either
            temporary.unlink(missing_ok=True)


def _is_ours_alone(path: Path) -> bool:
    """Whether nobody else can have written it."""
    found = path.stat()
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
